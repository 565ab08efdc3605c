import { afterEach, expect, test } from "bun:test";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { parseIp } from "../lib/ip.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { Poller } from "../platform/sys/poller.ts";
import { HOST_LINKS_BYTES, HostLinks } from "./links.ts";

const LOOPBACK = parseIp("127.0.0.1")!;
const open = new Set<Socket | HostLinks>();

afterEach(() => {
  for (const each of open) "close" in each ? each.close() : each.closeAll();
  open.clear();
});

async function socket(): Promise<Socket> {
  const own = createSocket("udp4").bind(0, "127.0.0.1");
  open.add(own);
  await once(own, "listening");
  return own;
}

/** A link to a peer, which has heard from it, and a stranger on the same host. */
async function linked(float: boolean) {
  const memory = new NativeMemory(HOST_LINKS_BYTES + (64 << 10));
  const nowhere = { prepare: () => undefined, prepareBeside: () => undefined };
  const links = new HostLinks({ memory, poller: new Poller(), ...nowhere });
  open.add(links);
  const [peer, stranger] = [await socket(), await socket()];
  const heard: string[] = [];
  const remote = { address: LOOPBACK, port: peer.address().port };
  const link = links.open(
    0,
    { protocol: "udp", remote, localPort: undefined, float, longest: 2000 },
    {
      ...{ opened: () => {}, narrowed: () => void heard.push("narrowed"), ended: () => {} },
      unreachable: () => void heard.push("unreachable"),
      handleRows: (_now, path, rows) => void heard.push(`${memory.bytes[rows.at[0]!]} on ${path}`),
      looksLikeAnswer: (at) => memory.bytes[at] === 7,
    },
  );
  if (typeof link === "string") throw new Error(link);
  link.sendPacket(0, 0, Uint8Array.of(1));
  const [, { port }] = (await once(peer, "message")) as [Buffer, { port: number }];
  const say = (from: Socket, byte: number): void => from.send(Uint8Array.of(byte), port, "127.0.0.1");
  const until = async (isThere: () => boolean): Promise<void> => {
    for (; !isThere(); links.receive(0, 256)) await new Promise((done) => setImmediate(done));
  };
  return { link, peer, stranger, heard, say, until };
}

test("without float only the peer is heard, by its port as well; of others the first that looks like an answer is told", async () => {
  const { link, peer, stranger, heard, say, until } = await linked(false);
  for (const byte of [5, 7]) say(stranger, byte);
  await until(() => link.sightings().stranger !== undefined);
  say(peer, 3);
  await until(() => heard.length > 0);
  expect(heard).toEqual(["3 on 0"]);
  expect(link.sightings()).toMatchObject({ stranger: { port: stranger.address().port }, others: 1 });
});

test("with float what comes from elsewhere is another path, which becomes the peer's when that is proved", async () => {
  const { link, stranger, heard, say, until } = await linked(true);
  say(stranger, 5);
  await until(() => heard.length === 1);
  link.settle(1);
  say(stranger, 6);
  await until(() => heard.length === 2);
  expect([heard, link.endpoint(1).port]).toEqual([["5 on 1", "6 on 1"], stranger.address().port]);
});

test("what the network says counts where it is about the peer, as far as that is known", async () => {
  const { link, peer, stranger, heard, say, until } = await linked(true);
  say(stranger, 5);
  await until(() => heard.length === 1);
  link.settle(1);
  peer.close();
  open.delete(peer);
  await once(peer, "close");
  // To where the peer was: nobody listens there any more, which is no news of where it is.
  link.sendPacket(0, 0, Uint8Array.of(1));
  link.sendPacket(0, 0, Uint8Array.of(1));
  say(stranger, 6);
  await until(() => heard.includes("6 on 1"));
  expect([heard, link.sightings().unreachable]).toEqual([["5 on 1", "6 on 1"], undefined]);
  link.settle(0);
  link.sendPacket(0, 0, Uint8Array.of(1));
  link.sendPacket(0, 0, Uint8Array.of(1));
  await until(() => heard.includes("unreachable"));
  expect(link.sightings().unreachable).toBe("port");
});
