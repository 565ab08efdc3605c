import { expect, test } from "bun:test";
import { Cidr } from "../lib/cidr.ts";
import { type IpAddress, parseIp } from "../lib/ip.ts";
import { slabOver } from "../lib/slab.ts";
import type { TunDevice } from "../platform/dev/tun.ts";
import { EEXIST, EPERM, ESRCH, SysError } from "../platform/sys/errno.ts";
import type { OpenTunnel } from "../tunnel/side.ts";
import { KernelTun } from "./kernel-tun.ts";

const ENETUNREACH = 101;

/** What was asked of the device; the kernel takes no route to `refused`. */
function deviceOf(calls: string[], refused = "", errno = ENETUNREACH): TunDevice {
  const device: Partial<TunDevice> = {
    name: "tun9",
    configure: (address) => void calls.push(`up ${address}`),
    addRoute: (network) => {
      if (`${network}` === refused) throw new SysError("ioctl", errno, refused);
      calls.push(`route ${network}`);
    },
    removeRoute: (network) => void calls.push(`no route ${network}`),
    takeDown: () => void calls.push("down"),
    receive: (batch) => {
      batch.clear();
      for (let i = 0; i < 3; i++) batch.push(64 + i * 100, 60);
      return batch.count;
    },
  };
  return device as TunDevice;
}

function tunnel(...networks: string[]): OpenTunnel {
  const address = (text: string): IpAddress => parseIp(text) as IpAddress;
  const routes = networks.map((network) => ({ network: new Cidr(address(network), 16), metric: 0 }));
  const options = { address: new Cidr(address("10.8.0.2"), 24), peer: undefined, routes };
  return { options, mtu: 1500, mssClamp: 0, send: () => {} } as unknown as OpenTunnel;
}

test("a tunnel whose routes the kernel refuses leaves nothing behind", () => {
  const calls: string[] = [];
  const side = new KernelTun(deviceOf(calls, "10.2.0.0/16"), slabOver(new ArrayBuffer(4096)));
  expect(side.up(0, tunnel("10.1.0.0", "10.2.0.0"))).toContain("tun9: ");
  expect(calls).toEqual(["up 10.8.0.2/24", "route 10.1.0.0/16", "down"]);
});

test("a route of this device that is there already is the tunnel's", () => {
  const calls: string[] = [];
  const side = new KernelTun(deviceOf(calls, "10.2.0.0/16", EEXIST), slabOver(new ArrayBuffer(4096)));
  expect(side.up(0, tunnel("10.1.0.0", "10.2.0.0"))).toBeUndefined();
  expect(side.up(0, tunnel("10.1.0.0"))).toBeUndefined();
  expect(calls).toEqual(["up 10.8.0.2/24", "route 10.1.0.0/16", "up 10.8.0.2/24", "no route 10.2.0.0/16"]);
});

test("a tunnel that takes the place of another has only its own routes; those of both are there all the time", () => {
  const calls: string[] = [];
  const side = new KernelTun(deviceOf(calls), slabOver(new ArrayBuffer(4096)));
  side.up(0, tunnel("10.1.0.0", "10.2.0.0"));
  calls.splice(0);
  expect(side.up(0, tunnel("10.2.0.0", "10.3.0.0"))).toBeUndefined();
  expect(calls).toEqual(["up 10.8.0.2/24", "route 10.3.0.0/16", "no route 10.1.0.0/16"]);
});

test("with another address everything is made anew: the kernel drops routes with the address", () => {
  const calls: string[] = [];
  const side = new KernelTun(deviceOf(calls), slabOver(new ArrayBuffer(4096)));
  side.up(0, tunnel("10.1.0.0"));
  calls.splice(0);
  const { options, ...rest } = tunnel("10.1.0.0");
  side.up(0, { ...rest, options: { ...options, address: new Cidr(parseIp("10.8.0.3")!, 24) } });
  expect(calls).toEqual(["down", "up 10.8.0.3/24", "route 10.1.0.0/16"]);
});

test("a device that may not be changed is said, and a route that somebody else took away is none the less gone", () => {
  const refuse = (errno: number) => (): never => {
    throw new SysError("ioctl", errno, "tun9");
  };
  const [locked, robbed] = [deviceOf([]), deviceOf([])];
  Object.assign(locked, { configure: refuse(EPERM), takeDown: refuse(EPERM) });
  expect(new KernelTun(locked, slabOver(new ArrayBuffer(4096))).up(0, tunnel("10.1.0.0"))).toContain("tun9: ");
  Object.assign(robbed, { removeRoute: refuse(ESRCH) });
  const side = new KernelTun(robbed, slabOver(new ArrayBuffer(4096)));
  side.up(0, tunnel("10.1.0.0"));
  expect(side.up(0, tunnel("10.2.0.0"))).toBeUndefined();
});

test("packets of the kernel while there is no tunnel are counted under a name", () => {
  const sent: number[] = [];
  const side = new KernelTun(deviceOf([]), slabOver(new ArrayBuffer(4096)));
  expect(side.receive(0)).toBe(true);
  side.up(0, { ...tunnel("10.1.0.0"), send: (_now, rows) => void sent.push(rows.count) });
  side.receive(0);
  expect([sent, side.drops.snapshot()]).toEqual([[3], { "tunnel-closed": 3 }]);
});
