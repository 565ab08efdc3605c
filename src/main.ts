/**
 * The one entry: as PID 1 the machine is ours and the appliance boots, else the first argument is a subcommand. What
 * a subcommand needs is loaded only when it runs, so that --version and --help stay quick.
 */
import { HELP, usageError, version } from "./cli/help.ts";

const [subcommand, ...rest] = process.argv.slice(2);

async function main(): Promise<number> {
  if (process.pid === 1) {
    await import("reflect-metadata");
    const { bootAppliance } = await import("./appliance/pid1.ts");
    return bootAppliance(version);
  }
  switch (subcommand) {
    case "--version":
    case "-V":
      process.stdout.write(`morgana ${version}\n`);
      return 0;
    case "--help":
    case "-h":
    case "help":
      process.stdout.write(HELP);
      return 0;
    case "check": {
      await import("reflect-metadata");
      const { check } = await import("./cli/check.ts");
      return check(rest);
    }
    case "appliance": {
      await import("reflect-metadata");
      const { appliance } = await import("./cli/appliance.ts");
      return appliance(rest);
    }
    case "client":
    case "genkey":
      return usageError(`${subcommand}: not available in this version`);
    case undefined:
      process.stderr.write(HELP);
      return 2;
    default:
      return usageError(`unknown subcommand "${subcommand}"`);
  }
}

process.exitCode = await main();
