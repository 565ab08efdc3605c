import { describe, expect, test } from "bun:test";
import { parseIp } from "../lib/ip.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { Poller } from "../platform/sys/poller.ts";
import type { ListenConfig } from "../protocol/config/server-types.ts";
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
});
