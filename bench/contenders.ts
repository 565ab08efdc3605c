/** Who is measured. Each is started anew for each round, in the router's place of one world. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { run } from "../test/support/world/process.ts";
import { clearKernelRouter, startKernelRouter, startNative } from "../test/support/world/router.ts";
import type { World } from "../test/support/world/world.ts";
import { startWireguard, stopWireguard } from "./wireguard.ts";

/** Processes of a contender that runs: whose processor time is counted. */
export interface Ends {
  readonly router: number;
  readonly server: number;
  log(): string;
}

/** What OpenVPN goes over. */
export type Protocol = "udp" | "tcp";

export interface Contender {
  readonly name: string;
  start(): Promise<Ends>;
  stop(): Promise<unknown>;
}

/** The kernel forwards and translates, openvpn is the client. */
export const openvpn = (world: World, cipher: string, protocol: Protocol): Contender => ({
  name: "openvpn",
  start: async () => {
    const server = await world.server({ ciphers: cipher, protocol });
    const router = await startKernelRouter(world, world.config({ profile: world.profile({ protocol }) }));
    return { router: router.pid, server: server.pid, log: () => router.log() };
  },
  stop: () => clearKernelRouter(world),
});

/** `morgana appliance` on the same interfaces, with the same server. binary: undefined for the one of these sources. */
export const morgana = (
  world: World,
  cipher: string,
  protocol: Protocol,
  name: string,
  binary?: string,
): Contender => ({
  name,
  start: async () => {
    const server = await world.server({ ciphers: cipher, protocol });
    const config = world.config({ profile: world.profile({ protocol }) });
    const router = startNative(world, config, { compiled: true, binary });
    return { router: router.pid, server: server.pid, log: () => router.log() };
  },
  stop: () => world.stop("router"),
});

/** wireguard-go at both ends. */
export const wireguard = (world: World, binary: string): Contender => ({
  name: "wireguard-go",
  start: async () => {
    const { router, far } = await startWireguard(world, binary);
    return { router: router.pid, server: far.pid, log: () => router.log() };
  },
  stop: () => stopWireguard(world),
});

/** Makes the binary of another checkout, with what its own lock file names. @throws Error with what its build said */
export async function buildBase(folder: string): Promise<string> {
  if (!existsSync(join(folder, "scripts/build.ts"))) throw new Error(`--base ${folder}: there is no Morgana`);
  const script = "scripts/bootstrap && exec node_modules/.bin/bun scripts/build.ts";
  const { code, out } = await run(["sh", "-c", `cd "$1" && ${script}`, "sh", folder], 600);
  if (code !== 0) throw new Error(`--base ${folder}: its build failed:\n${out.slice(-2000)}`);
  return join(folder, "dist/morgana");
}
