/** `morgana client`: a tunnel on the kernel of this machine. */
import { LOG_OPTIONS, readArguments, readLogOptions } from "./arguments.ts";
import { usageError, version } from "./help.ts";

const HELP = `usage: morgana client [OPTION...] FILE

Connects this machine by the OpenVPN file FILE, and stays in the foreground until SIGTERM or SIGINT. Address, MTU, routes and
DNS of the tunnel are set while it runs, and taken back when it ends; what a crash left is taken back at the next start.

  --no-routes    set the tunnel's addresses, and no routes
  --no-dns       leave this machine's resolver as it is
  --kill-switch  once the tunnel has been up, what only a default route leads to goes through it or nowhere, also while it
                 is connected anew, until this ends
  --log-level    error, warn, info (default) or debug
  --log-format   text (default) or json, one record a line

"dev tun" makes a device. "dev tunX" makes that one, or uses it where it exists: one that belongs to you (ip tuntap add dev
tun7 mode tun user NAME) needs no privilege. Otherwise CAP_NET_ADMIN is all that is needed.

Environment: RUNTIME_DIRECTORY, as a systemd unit sets it, for what has to be taken back (default: /run/morgana);
NOTIFY_SOCKET, where a service manager is told when the tunnel is up.

Signals: SIGHUP and SIGUSR1 read FILE again and connect anew (with problems in it what runs goes on), SIGUSR2 logs
statistics, SIGTERM and SIGINT leave.
`;

export async function client(argv: string[]): Promise<number> {
  const read = readArguments("client", argv, HELP, {
    "no-routes": { type: "boolean" },
    "no-dns": { type: "boolean" },
    "kill-switch": { type: "boolean" },
    ...LOG_OPTIONS,
  });
  if (typeof read === "number") return read;
  const { values, words } = read;
  const [file, ...more] = words;
  if (file === undefined || more.length > 0) return usageError("client", "exactly one FILE is needed");
  const log = readLogOptions("client", values);
  if (typeof log === "number") return log;
  const { level = "info", format } = log;
  const { runClient } = await import("../host/run-client.ts");
  return runClient({
    version,
    file,
    level,
    format,
    withRoutes: values["no-routes"] !== true,
    withDns: values["no-dns"] !== true,
    killSwitch: values["kill-switch"] === true,
  });
}
