/** `morgana appliance`: the appliance on two existing interfaces of this machine or namespace. */
import { LOG_OPTIONS, readArguments, readLogOptions } from "./arguments.ts";
import { usageError, version } from "./help.ts";

const HELP = `usage: morgana appliance --wan IF [--lan IF] --config PATH [--log-level LEVEL] [--log-format text|json]

  --wan IF       the interface toward the internet; --lan IF: toward the private network. They are taken over
                 whole: the kernel must have no address on them. A server can do without --lan: its clients
                 reach each other and the internet.
  --config PATH  a directory laid out like a config disk (appliance.toml, one OpenVPN file, auth.txt), or one
                 OpenVPN file
  --log-level    error, warn, info (default; overrides appliance.toml) or debug
  --log-format   text (default) or json, one record a line

Environment: STATE_DIRECTORY, as a systemd unit with StateDirectory= sets it, names a folder for what should
outlive a restart: DHCP leases, the LAN's IPv6 network, clients' addresses and a server's keys. Without it nothing is kept.

Signals: SIGHUP and SIGUSR1 read the configuration again (with problems in it what runs goes on): a client connects anew,
a server takes what can be taken without ending a session. SIGUSR2 logs statistics, SIGTERM and SIGINT leave.
`;

export async function appliance(argv: string[]): Promise<number> {
  const options = {
    wan: { type: "string" },
    lan: { type: "string" },
    config: { type: "string" },
    ...LOG_OPTIONS,
  } as const;
  const read = readArguments("appliance", argv, HELP, options, false);
  if (typeof read === "number") return read;
  const { wan, lan, config } = read.values;
  if (wan === undefined || config === undefined) {
    return usageError("appliance", "--wan and --config are needed, and --lan by all but a server");
  }
  if (wan === lan) return usageError("appliance", "--wan and --lan must be two interfaces");
  const log = readLogOptions("appliance", read.values);
  if (typeof log === "number") return log;
  const { runNative } = await import("../appliance/native.ts");
  return runNative({ version, wan, lan, config, ...log });
}
