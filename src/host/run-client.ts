/** `morgana client` as a process. */
import { ReadStream } from "node:tty";
import { askOn, type Questions } from "../platform/sys/terminal.ts";
import type { OpenTunnel } from "../tunnel/side.ts";
import { HOST_CLIENT_BYTES, HostClient } from "./client.ts";
import { fitsDevice, type ProcessOptions, runOnDevice, runProcess, saidLoaded } from "./process.ts";
import { loadHostProfile, type Typed } from "./profile.ts";
import { loadAsking } from "./questions.ts";
import { isKillRoute } from "./tun-network.ts";

export interface RunClientOptions extends ProcessOptions {
  readonly file: string;
  readonly withRoutes: boolean;
  readonly withDns: boolean;
  readonly killSwitch: boolean;
}

const NO_PROFILE = 1;
const INSTEAD = "what runs goes on with the profile before";

/** Runs until SIGTERM or SIGINT. Exit status 0; 1 when it could not start, or cannot go on. */
export function runClient(options: RunClientOptions): Promise<number> {
  const stays = options.killSwitch ? isKillRoute : () => false;
  return runProcess(options, stays, async (process) => {
    const { log, notify } = process;
    const typed: Typed = {};
    const config = saidLoaded(await loadAsking(options.file, typed, terminal()), log)?.config;
    if (config === undefined) return NO_PROFILE;
    const needs = { device: config.device, deviceType: config.deviceType, bytes: HOST_CLIENT_BYTES };
    return runOnDevice(process, needs, (parts) => {
      let isReady = false;
      return new HostClient({
        ...parts,
        config,
        reload: () => {
          const next = saidLoaded(loadHostProfile(options.file, typed), log, INSTEAD)?.config;
          return next && fitsDevice(next.deviceType, config.deviceType, log, INSTEAD) ? next : undefined;
        },
        withRoutes: options.withRoutes,
        withDns: options.withDns,
        killSwitch: options.killSwitch,
        changed: (tunnel) => {
          const ready = tunnel === undefined || isReady ? [] : ["READY=1"];
          notify.tell(...ready, `STATUS=${statusOf(parts.device.name, tunnel)}`);
          isReady ||= tunnel !== undefined;
        },
      });
    });
  });
}

function statusOf(device: string, tunnel: OpenTunnel | undefined): string {
  if (tunnel === undefined) return "connecting";
  const { address, address6 } = tunnel.options;
  const own = [address, address6].filter((each) => each !== undefined).join(" and ");
  return own === "" ? `up on ${device}` : `up on ${device}, ${own}`;
}

/** How to ask whoever sits at the terminal; undefined: nobody does. */
function terminal(): (() => Questions) | undefined {
  const { stdin } = process;
  return stdin instanceof ReadStream ? () => askOn(stdin) : undefined;
}
