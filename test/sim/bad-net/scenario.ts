/**
 * What happens in a bad network by one seed: which link and which key, what the network does, who is restarted, suspended or cut off
 * and when, and whether the two fit together at all. A time of faults is followed by one without, by the end of which there is a
 * tunnel that carries packets both ways, or the client has said why there is none.
 */
import { seededRandom } from "../../../src/lib/random.ts";
import type { ControlWrap } from "../../../src/protocol/config/types.ts";
import { clientConfig, NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2 } from "../../support/client-config.ts";
import { packet } from "../../support/sim.ts";
import { BadClient } from "./client.ts";
import { BadNet, FAULTLESS, type Faults } from "./net.ts";
import { BadServer } from "./server.ts";

/** What keeps them from ever having a tunnel; most have nothing. */
const OBSTACLES = ["other-key", "refused", "no-cipher", "no-server"] as const;
export type Obstacle = (typeof OBSTACLES)[number] | "none";

const EVENTS = [
  "cut",
  "partition",
  "server-killed",
  "server-left",
  "client-killed",
  "network-changed",
  "clock-jumps",
  "client-suspended",
  "server-suspended",
  "calm",
] as const;
export type Happening = (typeof EVENTS)[number];

export interface Outcome {
  readonly obstacle: Obstacle;
  readonly protocol: "udp" | "tcp";
  readonly happened: readonly Happening[];
  /** Why the client has no tunnel, in its own last words; undefined: it has one. */
  readonly stated: string | undefined;
  /** Packets of the tunnel that came, and those that were never sent like that. */
  readonly carried: number;
  readonly altered: number;
  readonly renegotiations: number;
}

const YEAR_S = 365 * 86_400;
/** ping-restart, hand-window and the longest wait of the retry policy, each once, and some more. */
const PATIENCE_MS = 300_000;
/** A refused login waits up to 15 minutes. */
const LOGIN_PATIENCE_MS = 1_200_000;
const WRAPS: readonly ControlWrap[] = [NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2];
/** Events of the log that say why there is no tunnel. */
const REASONS = ["link.failed", "link.silent", "link.stalled", "tunnel.down"];

/** @throws Error when it hangs, spins or breaks a promise */
export function play(seed: number): Outcome {
  const net = new BadNet(seededRandom(seed));
  const protocol = net.pick(["udp", "tcp"] as const);
  const wrap = net.pick(WRAPS);
  const obstacle = net.chance(0.2)
    ? net.pick(OBSTACLES.filter((each) => each !== "other-key" || wrap !== NO_WRAP))
    : "none";
  const renegSec = net.pick([0, 15, 40]);
  const server = new BadServer(net, wrap, ({ control, data, keepalive }) => ({
    control: { ...control, renegSec: { min: 0, max: net.pick([0, 20]) } },
    data: { ...data, ciphers: obstacle === "no-cipher" ? ["CHACHA20-POLY1305"] : data.ciphers },
    keepalive: { ...keepalive, ping: 10, timeout: 60 },
  }));
  if (obstacle === "refused") server.desk.refused.set("ann", "not today");
  if (obstacle === "no-server") server.kill();
  const lines = [`proto ${protocol}`, `reneg-sec ${renegSec} ${renegSec}`];
  if (obstacle === "no-cipher") lines.push("data-ciphers AES-128-GCM");
  if (protocol === "udp" && net.chance(0.5)) lines.push("explicit-exit-notify 2");
  const client = new BadClient(net, server, clientConfig(lines, obstacle === "other-key" ? otherKey(wrap) : wrap));

  let said = 0;
  const talk = (): void => {
    client.say(packet(++said));
    server.say(packet(++said));
  };
  const happened: Happening[] = [];
  for (let i = 2 + net.below(4); i > 0; i--) {
    net.faults = someFaults(net);
    net.run(net.below(15_000));
    talk();
    const event = net.pick(EVENTS);
    happened.push(event);
    happen(event, { net, server, client, isServed: obstacle !== "no-server" });
    talk();
    net.run(net.below(30_000));
  }

  net.faults = FAULTLESS;
  net.isDown = false;
  if (!server.isRunning && obstacle !== "no-server") server.start();
  const healedAt = net.now;
  const flows = (): boolean => {
    if (client.tunnel === undefined || server.side.joined.size === 0) return false;
    const before = [client.received.length, server.side.received.length];
    talk();
    net.run(500);
    return client.received.length > before[0]! && server.side.received.length > before[1]!;
  };
  // A session of which the other side knows nothing any more is up until its pings are missed.
  const works = (): boolean => {
    for (const end = net.now + PATIENCE_MS; net.now < end; net.run(2000)) if (flows()) return true;
    return false;
  };
  const stated = works()
    ? undefined
    : statedSince(client, net, obstacle === "none" ? healedAt : healedAt + LOGIN_PATIENCE_MS);
  const words = [...client.received, ...server.side.received.map(({ bytes }) => bytes)];
  const altered = words.filter((bytes) => !isOurs(bytes, said)).length;
  const renegotiations = client.lines.filter(({ event }) => event === "tunnel.rekeyed").length;
  for (const line of [...client.lines, ...server.lines])
    if (line.event === "internal.error") throw new Error(`internal error: ${line.message}`);
  leave(net, client, server);
  return { obstacle, protocol, happened, stated, carried: words.length, altered, renegotiations };
}

interface Stage {
  readonly net: BadNet;
  readonly server: BadServer;
  readonly client: BadClient;
  readonly isServed: boolean;
}

function happen(event: Happening, { net, server, client, isServed }: Stage): void {
  const away = 1000 + net.below(90_000);
  switch (event) {
    case "cut":
      return server.cut();
    case "partition":
      net.isDown = true;
      net.run(away);
      net.isDown = false;
      return;
    case "server-killed":
    case "server-left":
      if (event === "server-left" && !server.leave()) throw new Error("the server does not leave");
      server.kill();
      if (net.chance(0.5)) net.run(away);
      if (isServed) server.start();
      return;
    case "client-killed":
      return client.restart();
    case "network-changed":
      client.dialer.networkDown(net.now, "the network is gone");
      if (net.chance(0.5)) net.run(away);
      return client.dialer.networkUp(net.now);
    case "clock-jumps":
      net.unixAtStart += (net.chance(0.5) ? 1 : -1) * net.below(2 * YEAR_S);
      return;
    case "client-suspended":
      client.stillUntil = net.now + away * (net.chance(0.3) ? 20 : 1);
      return void net.run(client.stillUntil - net.now);
    case "server-suspended":
      server.stillUntil = net.now + away;
      return void net.run(away);
    case "calm":
      net.faults = FAULTLESS;
      return void net.run(away);
  }
  event satisfies never;
}

const someFaults = (net: BadNet): Faults => ({
  loss: net.pick([0, 0.05, 0.2, 0.5]),
  duplicate: net.pick([0, 0.2]),
  damage: net.pick([0, 0.02, 0.1]),
  jitter: net.pick([0, 30, 400]),
});

/** Why there is no tunnel: said since the faults were over, or within the time that a wait may last. */
function statedSince(client: BadClient, net: BadNet, until: number): string | undefined {
  const reason = (): string | undefined =>
    client.lines.findLast(
      ({ event, level, message }) => REASONS.includes(event) && level !== "info" && message.length > 20,
    )?.message;
  const since = client.lines.length;
  net.run(Math.max(0, until - net.now), () => client.lines.slice(since).some(({ event }) => REASONS.includes(event)));
  return client.lines.length > since || reason() !== undefined ? reason() : undefined;
}

const isOurs = (bytes: Uint8Array, most: number): boolean => {
  const n = (bytes[4]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)) >>> 0;
  return n <= most && bytes.length === 60 && packet(n).every((byte, i) => byte === bytes[i]);
};

function leave(net: BadNet, client: BadClient, server: BadServer): void {
  client.dialer.leave(net.now);
  if (!net.run(30_000, () => client.dialer.left)) throw new Error("the client does not leave");
  if (server.isRunning && !server.leave()) throw new Error("the server does not leave");
  if (server.side.joined.size > 0) throw new Error("somebody is left in a server that has left");
  if (server.desk.guests.size > 0 && server.isRunning) throw new Error("an address is not given back");
}

/** Of the same kind. */
function otherKey(wrap: ControlWrap): ControlWrap {
  if (wrap.kind === "none") return wrap;
  const key = wrap.key.map((byte) => byte ^ 0x55);
  return { ...wrap, key };
}
