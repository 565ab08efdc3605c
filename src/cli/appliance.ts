/** `morgana appliance`: the appliance on two existing interfaces of this machine or namespace. */
import { parseArgs } from "node:util";
import { LOG_LEVELS, type LogLevel } from "../lib/log.ts";
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
  let values: Record<string, string | boolean | undefined>;
  try {
    values = parseArgs({
      args: argv,
      strict: true,
      options: {
        wan: { type: "string" },
        lan: { type: "string" },
        config: { type: "string" },
        "log-level": { type: "string" },
        "log-format": { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    return usageError("appliance", `${(error as Error).message}`);
  }
  if (values["help"]) {
    process.stdout.write(HELP);
    return 0;
  }
  const { wan, lan, config } = values;
  if (typeof wan !== "string" || typeof config !== "string") {
    return usageError("appliance", "--wan and --config are needed, and --lan by all but a server");
  }
  if (wan === lan) return usageError("appliance", "--wan and --lan must be two interfaces");
  const level = values["log-level"];
  if (level !== undefined && !LOG_LEVELS.includes(level as LogLevel)) {
    return usageError("appliance", `--log-level is one of ${LOG_LEVELS.join(", ")}`);
  }
  const format = values["log-format"] ?? "text";
  if (format !== "text" && format !== "json") return usageError("appliance", "--log-format is text or json");
  const { runNative } = await import("../appliance/native.ts");
  return runNative({
    version,
    wan,
    lan: typeof lan === "string" ? lan : undefined,
    config,
    level: level as LogLevel | undefined,
    format,
  });
}
