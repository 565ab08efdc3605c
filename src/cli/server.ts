/** `morgana server`: a server on the kernel of this machine. */
import { resolve } from "node:path";
import { LOG_OPTIONS, readArguments, readLogOptions } from "./arguments.ts";
import { usageError, version } from "./help.ts";

const HELP = `usage: morgana server [OPTION...] FILE

Serves the OpenVPN file FILE on this machine, and stays in the foreground until SIGTERM or SIGINT. The tunnel's address, MTU and
routes are set while it runs, and taken back when it ends; what a crash left is taken back at the next start. Whether clients
reach more than this machine is for its kernel to say (net.ipv4.ip_forward, and its firewall).

  --users FILE   ask clients for a login; FILE has a line of "morgana passwd NAME" for each user
  --log-level    error, warn, info (default) or debug
  --log-format   text (default) or json, one record a line

"dev tun" makes a device, "dev tunX" that one, or uses it where it exists. CAP_NET_ADMIN is all that is needed, and a port above
1023.

Environment: RUNTIME_DIRECTORY, as a systemd unit sets it, for what has to be taken back (default: /run/morgana);
NOTIFY_SOCKET, where a service manager is told when it listens.

Signals: SIGHUP and SIGUSR1 read FILE again, and take what can be taken without ending a session; SIGUSR2 logs statistics,
SIGTERM and SIGINT leave.
`;

export async function server(argv: string[]): Promise<number> {
  const read = readArguments("server", argv, HELP, {
    users: { type: "string" },
    ...LOG_OPTIONS,
  });
  if (typeof read === "number") return read;
  const { values, words } = read;
  const [file, ...more] = words;
  if (file === undefined || more.length > 0) return usageError("server", "exactly one FILE is needed");
  const log = readLogOptions("server", values);
  if (typeof log === "number") return log;
  const { level = "info", format } = log;
  const { runServer } = await import("../host/run-server.ts");
  // It is typed, as FILE is, and not of the profile: relative names are of the working folder.
  const users = values.users === undefined ? undefined : resolve(values.users);
  return runServer({ version, file, users, level, format });
}
