/** `morgana server` as a process. */
import { fitsDevice, type ProcessOptions, runOnDevice, runProcess, saidLoaded } from "./process.ts";
import { HOST_SERVER_BYTES, HostServer } from "./server.ts";
import { loadServerProfile } from "./server-profile.ts";

export interface RunServerOptions extends ProcessOptions {
  readonly file: string;
  /** Of users, with hashes of their passwords. */
  readonly users: string | undefined;
}

const NO_PROFILE = 1;
const INSTEAD = "what runs goes on with the profile before";

/** Runs until SIGTERM or SIGINT. Exit status 0; 1 when it could not start, or cannot go on. */
export function runServer({ file, users, ...options }: RunServerOptions): Promise<number> {
  return runProcess(
    options,
    () => false,
    async (process) => {
      const { log, notify } = process;
      const profile = saidLoaded(loadServerProfile(file, users), log);
      if (profile === undefined) return NO_PROFILE;
      const { device, deviceType } = profile.config;
      return runOnDevice(process, { device, deviceType, bytes: HOST_SERVER_BYTES }, (parts) => {
        const reload = () => {
          const next = saidLoaded(loadServerProfile(file, users), log, INSTEAD);
          return next && fitsDevice(next.config.deviceType, deviceType, log, INSTEAD) ? next : undefined;
        };
        const listening = (): void => notify.tell("READY=1", `STATUS=listening, on ${parts.device.name}`);
        return new HostServer({ ...parts, profile, reload, listening });
      });
    },
  );
}
