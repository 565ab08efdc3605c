/**
 * A tun device of the kernel as a tunnel's side, without a tunnel: a program for the tests.
 * Usage: kernel-tun-routes.ts DEVICE, then "up ADDRESS[,ROUTE@METRIC...]" or "down" for each command. For each it prints a line of
 * JSON: what up() said, the addresses and the routes (main table) of the device then, and the device that 10.77.0.1 is sent to.
 */
import { KernelTun } from "../../src/host/kernel-tun.ts";
import { parseCidr } from "../../src/lib/cidr.ts";
import { TUN_DEVICE_BYTES, TunDevice } from "../../src/platform/dev/tun.ts";
import { NativeMemory } from "../../src/platform/sys/memory.ts";
import type { OpenTunnel } from "../../src/tunnel/side.ts";

const [name, ...commands] = process.argv.slice(2) as [string, ...string[]];
const memory = new NativeMemory(TUN_DEVICE_BYTES);
const device = new TunDevice(memory, name);
const side = new KernelTun(device, memory);

/** The lines that `ip` prints of the device, in order. */
function ip(...argv: string[]): string[] {
  const { stdout } = Bun.spawnSync(["ip", "-4", ...argv, "dev", name]);
  return stdout.toString().trim().split("\n").filter(Boolean).sort();
}

for (const command of commands) {
  let said: string | undefined;
  if (command === "down") side.down();
  else {
    const [address, ...routes] = command.replace("up ", "").split(",") as [string, ...string[]];
    const options = {
      address: parseCidr(address)!,
      peer: undefined,
      routes: routes.map((route) => {
        const [network, metric] = route.split("@") as [string, string];
        return { network: parseCidr(network)!, metric: Number(metric) };
      }),
    } as unknown as OpenTunnel["options"];
    said = side.up(0, { options, mtu: 1400, mssClamp: 0, send: () => {} });
  }
  const addresses = ip("-o", "addr", "show").map((line) => /inet (\S+)/.exec(line)?.[1]);
  const routes = ip("route", "show").map((line) =>
    line.replace(/ (proto|scope|src|linkdown).*?(?= metric|$)/, "").trim(),
  );
  const { stdout } = Bun.spawnSync(["ip", "-4", "route", "get", "10.77.0.1"]);
  console.log(JSON.stringify({ said, addresses, routes, to: / dev (\S+)/.exec(stdout.toString())?.[1] }));
}
device.close();
