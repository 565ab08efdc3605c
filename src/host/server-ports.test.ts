import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Batch } from "../lib/batch.ts";
import { parseIp } from "../lib/ip.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { Poller } from "../platform/sys/poller.ts";
import type { ListenConfig } from "../protocol/config/server-types.ts";
import type { DatagramPort, OpenPort, PeerLink } from "../tunnel/listen.ts";
import { KernelPorts, SERVER_PORTS_BYTES } from "./server-ports.ts";

const UDP = { protocol: "udp", family: "ipv4", port: 0, address: parseIp("127.0.0.1") } as ListenConfig;

describe("ports of a server on the kernel", () => {
  test("a port that is closed and opened again has the memory of the one before, however often", () => {
    const ports = new KernelPorts({ memory: new NativeMemory(SERVER_PORTS_BYTES), poller: new Poller() });
    const receiver = { handleDatagrams: () => {}, narrowed: () => {}, accepted: () => undefined };
    for (let i = 0; i < 40; i++) {
      const port = ports.listen(0, UDP, 2000, receiver);
      if (typeof port === "string") throw new Error(port);
      port.close();
    }
    const open = Array.from({ length: 8 }, () => ports.listen(0, UDP, 2000, receiver));
    expect(open.filter((port) => typeof port === "string")).toEqual([]);
    expect(ports.listen(0, UDP, 2000, receiver)).toContain("more than 8 UDP ports");
    ports.closeAll();
  });

  test("what came to a port that is closed by then is nobody's: the next one does not get it", async () => {
    const sender = await Bun.udpSocket({ hostname: "127.0.0.1" });
    const ports = new KernelPorts({ memory: new NativeMemory(SERVER_PORTS_BYTES), poller: new Poller() });
    let got = 0;
    const handleDatagrams = (_now: number, _port: unknown, rows: Batch): void => {
      got += rows.count;
    };
    const receiver = { handleDatagrams, narrowed: () => {}, accepted: () => undefined };
    const listen = (): OpenPort => {
      // Free, as the sender has the same one of the other address.
      const port = ports.listen(0, { ...UDP, port: sender.port, address: parseIp("127.0.0.2") }, 2000, receiver);
      if (typeof port === "string") throw new Error(port);
      return port;
    };
    try {
      const first = listen();
      for (let i = 0; i < 3; i++) sender.send("x", sender.port, "127.0.0.2");
      expect([ports.receive(0, 1), ports.drained]).toEqual([1, false]);
      first.close();
      listen();
      expect([ports.receive(0, 9), got]).toEqual([0, 1]);
    } finally {
      ports.closeAll();
      sender.close();
    }
  });

  test("of addresses of ours that come and go a receiver knows no more than there can be, and who was asked at one is still answered from there", async () => {
    const heard: string[] = [];
    const sender = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: { data: (_socket, _data, _port, address) => void heard.push(address) },
    });
    const ports = new KernelPorts({ memory: new NativeMemory(SERVER_PORTS_BYTES), poller: new Poller() });
    const known = new Set<DatagramPort>();
    const links: PeerLink[] = [];
    const to = { address: parseIp("127.0.0.1")!, port: sender.port };
    const handleDatagrams = (_now: number, port: DatagramPort): void => {
      known.add(port);
      if (links.length === 0) links.push(port.peer(to));
    };
    const place = await freePort();
    const receiver = { handleDatagrams, narrowed: () => {}, accepted: () => undefined };
    const open = ports.listen(0, { ...UDP, port: place, address: undefined }, 2000, receiver);
    try {
      if (typeof open === "string") throw new Error(open);
      for (let i = 1; i <= 100; i++) {
        sender.send("x", place, `127.0.1.${i}`);
        expect(ports.receive(0, 9)).toBe(1);
      }
      expect(known.size).toBe(64);
      links[0]!.sendPacket(0, Uint8Array.of(1));
      for (let i = 0; i < 1000 && heard.length === 0; i++) await Bun.sleep(1);
      expect(heard).toEqual(["127.0.1.1"]);
    } finally {
      ports.closeAll();
      sender.close();
    }
  });

  test("nobody can be sent more when what was sent waits on each connection that packets went to lately", async () => {
    const memory = new NativeMemory(SERVER_PORTS_BYTES + (1 << 17));
    const at = memory.take(1 << 16, 64).at;
    const ports = new KernelPorts({ memory, poller: new Poller() });
    const links: PeerLink[] = [];
    const accepted = (_now: number, link: PeerLink) => {
      links.push(link);
      return { handleRows: () => {}, ended: () => {} };
    };
    const place = await freePort();
    const config = { ...UDP, protocol: "tcp", port: place } as ListenConfig;
    const open = ports.listen(0, config, 60_000, { handleDatagrams: () => {}, narrowed: () => {}, accepted });
    if (typeof open === "string") throw new Error(open);
    const clients: Socket[] = [];
    /** Whoever does not read what is sent. */
    const join = async (): Promise<PeerLink> => {
      const client = connect(place, "127.0.0.1").pause();
      clients.push(client);
      await once(client, "connect");
      ports.receive(0, 9);
      expect(links).toHaveLength(clients.length);
      return links.at(-1)!;
    };
    const send = (now: number, link: PeerLink): void => {
      const rows = new Batch(1);
      rows.push(at + 64, 50_000);
      link.send(now, rows);
    };
    try {
      const first = await join();
      expect([ports.areStreams, ports.areFull(0)]).toEqual([true, false]);
      for (let i = 0; i < 1000 && !ports.areFull(0); i++) send(0, first);
      expect(ports.areFull(0)).toBe(true);
      // One that has nothing to wait for does not count, but for a moment after it was sent something.
      const second = await join();
      expect(ports.areFull(1000)).toBe(true);
      send(1000, second);
      expect([ports.areFull(1099), ports.areFull(1100)]).toEqual([false, true]);
      const datagrams = ports.listen(0, UDP, 2000, { handleDatagrams: () => {}, narrowed: () => {}, accepted });
      if (typeof datagrams === "string") throw new Error(datagrams);
      expect([ports.areStreams, ports.areFull(2000)]).toEqual([false, false]);
    } finally {
      ports.closeAll();
      open.close();
      for (const client of clients) client.destroy();
    }
  });
});

/** Of TCP, that nobody listens on. */
async function freePort(): Promise<number> {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
  const { port } = server;
  server.stop(true);
  return port;
}
