import { describe, expect, test } from "bun:test";
import type { Batch } from "../lib/batch.ts";
import { parseIp } from "../lib/ip.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { Poller } from "../platform/sys/poller.ts";
import type { ListenConfig } from "../protocol/config/server-types.ts";
import type { OpenPort } from "../tunnel/listen.ts";
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
});
