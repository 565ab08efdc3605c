/** A link over the relay of a SOCKS proxy, against a proxy that says what the test has it say: how it ends before it is open. */
import { expect, test } from "bun:test";
import { Batch } from "../../lib/batch.ts";
import { parseIp } from "../../lib/ip.ts";
import { Arena } from "../../lib/slab.ts";
import { type LinkOptions, TcpPair } from "../../netstack/testing/tcp-pair.ts";
import type { LinkEnd } from "../../protocol/session/events.ts";
import { Socks5Dialogue } from "../../tunnel/proxy/socks5.ts";
import { WanLinks } from "./wan-links.ts";

const PORT = 1080;
const LAN = parseIp("192.168.50.1")!;
const SERVER = { address: parseIp("203.0.113.10")!, port: 1194 };
const origin = { file: "x", line: 1 };
const NO_LOGIN = [5, 0];

/** @param answers of the proxy, each to one message of ours; the last one is followed by nothing @returns how the link ends */
const endOf = (...answers: readonly (readonly number[])[]): LinkEnd | "open" | undefined => outcome({}, answers).end;

function outcome(
  options: LinkOptions,
  answers: readonly (readonly number[])[],
): { end: LinkEnd | "open" | undefined; overheads: number[] } {
  const pair = new TcpPair({ pages: 512, ...options });
  const { a } = pair;
  const stream = { arena: new Arena(a.slab, a.scratchAt, a.scratchAt + (64 << 10)), rows: new Batch(64) };
  const links = new WanLinks({ wan: a.it, tcp: a.tcp, stream, lan: () => LAN });
  const listener = pair.b.tcp.listen(PORT, { sendBuffer: 1 << 20 });
  const login = { user: "ann", password: "pw", label: "login.txt", origin };
  const config = { kind: "socks", host: "p", port: PORT, origin, login } as const;
  const dialogue = new Socks5Dialogue(config, { host: "vpn.example", port: 1194 }, true, pair.address);
  let end: LinkEnd | "open" | undefined;
  const link = links.open(
    pair.now,
    {
      ...{ protocol: "udp", remote: { address: pair.address, port: PORT }, localPort: undefined, float: false },
      ...{ longest: 4096, proxy: { dialogue, server: SERVER } },
    },
    {
      opened: () => {
        end = "open";
      },
      narrowed() {},
      unreachable() {},
      ended: (_now, how) => {
        end ??= how;
      },
      handleRows() {},
      looksLikeAnswer: () => false,
    },
  );
  if (typeof link === "string") throw new Error(link);
  const overheads = [link.overhead];
  let peer = listener?.accept();
  let said = 0;
  const heard = new Uint8Array(1024);
  pair.run(() => {
    links.drain(pair.now);
    peer ??= listener?.accept();
    if (peer !== undefined && peer.read(heard) > 0) {
      const answer = answers[said++];
      if (answer !== undefined) peer.writeBytes(Uint8Array.from(answer));
    }
    return end !== undefined;
  }, 5000);
  overheads.push(link.overhead);
  link.close();
  return { end, overheads };
}

const relayAt = (...address: readonly number[]): number[] => [5, 0, 0, 1, ...address, 4, 0];

test("a relay is taken where a server could be, and nowhere else", () => {
  const refused = (problem: string): LinkEnd => ({ kind: "proxy-failed", text: `names a relay that is ${problem}` });
  expect(endOf(NO_LOGIN, relayAt(203, 0, 113, 9))).toBe("open");
  expect(endOf(NO_LOGIN, relayAt(192, 168, 50, 1))).toEqual(refused("our own address"));
  for (const address of [
    [127, 0, 0, 1],
    [224, 0, 0, 1],
    [255, 255, 255, 255],
  ])
    expect(endOf(NO_LOGIN, relayAt(...address))).toEqual(refused("no address of a host"));
});

test("a relay may have an address of another family than its proxy, if the WAN has one of that family", () => {
  const [ipv4, ipv6] = [28 + 10, 48 + 10];
  expect(outcome({ family: 6 }, [NO_LOGIN, relayAt(203, 0, 113, 9)])).toEqual({ end: "open", overheads: [ipv6, ipv4] });
  const relay6 = [5, 0, 0, 4, 0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 9, 4, 0];
  expect(endOf(NO_LOGIN, relay6)).toEqual({
    kind: "proxy-failed",
    text: "names a relay that is of IPv6, and the WAN has no IPv6 address",
  });
});

test("a login that the proxy refuses ends as that, not as any failure", () => {
  expect(endOf([5, 2], [1, 1])).toEqual({
    kind: "proxy-login-refused",
    text: "refuses user and password; correct them in login.txt",
  });
  expect(endOf([5, 0xff])).toMatchObject({ kind: "proxy-failed" });
});
