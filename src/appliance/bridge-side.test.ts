/** The bridge as the side of a dialer and of a listener, in the data path: what passes while it is open, and nothing else. */
import { beforeEach, expect, test } from "bun:test";
import { Batch } from "../lib/batch.ts";
import { Counters } from "../lib/counters.ts";
import { seededRandom } from "../lib/random.ts";
import type { FrameDevice } from "../platform/dev/frame-device.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { BridgeServedSide, BridgeSide } from "./bridge-side.ts";
import { forwardingOf, isOther } from "./forwarding.ts";
import type { LoadResult } from "./profile.ts";
import { DEFAULT_SETTINGS } from "./settings/settings.ts";
import { BridgePath } from "./wiring/bridge.ts";
import { DATA_PATH_BYTES } from "./wiring/data-path.ts";

const memory = new NativeMemory(DATA_PATH_BYTES + 65_536);
let waiting: Uint8Array[];
let toLan: number;
let toWan: number;
let path: BridgePath;
let sent: [number, number][];

const device = (name: string, send: (rows: number) => void): FrameDevice => ({
  name,
  mac: { hi: 0x0200, lo: name.length },
  mtu: 1500,
  udpGso: false,
  drained: true,
  receive(batch) {
    batch.clear();
    for (const frame of name === "lan0" ? waiting.splice(0) : []) put(batch, frame);
    return batch.count;
  },
  send: (batch) => send(batch.count),
  linkUp: () => true,
  mtuNow: () => 1500,
  statistics: () => ({ received: 0, dropped: 0 }),
  counters: new Counters([]),
});

function put(batch: Batch, frame: Uint8Array, peer = 0): void {
  const at = path.sessionScratch.take(frame.length);
  memory.bytes.set(frame, at);
  batch.peer[batch.push(at, frame.length)] = peer;
}

/** Of a station to everybody. */
const frame = (station: number): Uint8Array =>
  Uint8Array.of(...new Array(6).fill(255), 2, 0, 0, 0, 0, station, 0x12, 0x34, ...new Array(46).fill(7));

beforeEach(() => {
  memory.reset();
  [waiting, sent, toLan, toWan] = [[], [], 0, 0];
  path = new BridgePath({
    memory,
    wan: device("wan", (rows) => (toWan += rows)),
    lan: device("lan0", (rows) => (toLan += rows)),
    wanMtu: 1500,
    random: seededRandom(1),
  });
});

const client = (peer: number) => ({
  networks: [],
  mtu: 1500,
  mssClamp: 0,
  send: (_now: number, rows: Batch) => void sent.push([peer, rows.count]),
});

function fromLan(station: number): void {
  waiting.push(frame(station));
  path.receive(1000);
}

function fromPeer(peer: number, station: number): void {
  const rows = new Batch(4);
  put(rows, frame(station), peer);
  path.deliver(1000, rows);
  path.flush(1000);
}

/** What went where since the last call: frames to the LAN, and peers. */
function went(): [number, number[]] {
  const result: [number, number[]] = [toLan, sent.map(([peer]) => peer).sort()];
  [toLan, sent] = [0, []];
  return result;
}

test("a client's frames pass while its tunnel is there, and not before or after; nothing leaves by the WAN but from the carrier", () => {
  const side = new BridgeSide(path);
  fromLan(1);
  expect(went()).toEqual([0, []]);
  const tunnel = { options: undefined as never, ...client(0) };
  side.up(0, tunnel);
  fromLan(1);
  fromPeer(0, 9);
  expect(went()).toEqual([1, [0]]);
  side.down();
  fromLan(1);
  fromPeer(0, 9);
  expect(went()).toEqual([0, []]);
  expect(path.bridge.drops.snapshot()).toEqual({ TunnelClosed: 2, PeerGone: 1 });
  expect(toWan).toBe(0);
});

test("a server's clients get what is for all, and send to the LAN; to each other only with client-to-client", () => {
  for (const clientToClient of [false, true]) {
    const changes: number[] = [];
    const side = new BridgeServedSide(path, (now) => changes.push(now));
    side.open(0, { address: undefined, address6: undefined, mtu: 1500, routes: [], clientToClient });
    for (const peer of [3, 5]) side.join(peer, peer, client(peer));
    fromLan(1);
    expect(went()).toEqual([0, [3, 5]]);
    fromPeer(3, 3);
    expect(went()).toEqual([1, clientToClient ? [5] : []]);
    side.leave(6, 5);
    fromLan(1);
    fromPeer(5, 6);
    expect(went()).toEqual([0, [3]]);
    side.close(7);
    fromLan(1);
    expect(went()).toEqual([0, []]);
    expect(changes).toEqual([3, 5, 6, 7]);
  }
});

test("a profile with dev tap makes a bridge, also while it has problems; another role or device is another appliance", () => {
  const broken = (role: "client" | "server", deviceType: "tun" | "tap"): LoadResult =>
    ({
      ok: false,
      settings: DEFAULT_SETTINGS,
      notices: [],
      warnings: [],
      problems: [],
      role,
      deviceType,
    }) as LoadResult;
  expect(forwardingOf(broken("client", "tap"))).toEqual({ kind: "bridge", role: "client" });
  expect(forwardingOf(broken("client", "tun")).kind).toBe("client");
  const [of, other] = [forwardingOf(broken("client", "tap")), forwardingOf(broken("server", "tap"))];
  expect([isOther(of, of), isOther(of, other), isOther(of, { kind: "client", nat: true })]).toEqual([
    false,
    true,
    true,
  ]);
});
