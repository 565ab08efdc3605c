/**
 * The one entry: the first argument is a subcommand, or the word by which the image's stub hands over its machine. What
 * a subcommand needs is loaded only when it runs, so that --version and --help stay quick.
 */
import { HELP, usageError, version } from "./cli/help.ts";

/**
 * What image/init.c says, and nobody else: this machine is ours, to mount, to name and to switch off. The process id alone says
 * nothing: whatever a container or a PID namespace starts first is PID 1 as well.
 */
const BOOT = "boot-this-machine";

const [subcommand, ...rest] = process.argv.slice(2);

/** What stays heeds these once it runs. Until then each of them would end it, as the system has it (signal(7)). */
function outliveEarlySignals(): void {
  for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const) process.on(signal, () => {});
}

async function main(): Promise<number> {
  if (subcommand === BOOT && process.pid === 1) {
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
      outliveEarlySignals();
      await import("reflect-metadata");
      const { appliance } = await import("./cli/appliance.ts");
      return appliance(rest);
    }
    case "client": {
      outliveEarlySignals();
      await import("reflect-metadata");
      const { client } = await import("./cli/client.ts");
      return client(rest);
    }
    case "server": {
      outliveEarlySignals();
      await import("reflect-metadata");
      const { server } = await import("./cli/server.ts");
      return server(rest);
    }
    case "passwd": {
      const { passwd } = await import("./cli/passwd.ts");
      return passwd(rest);
    }
    case "genkey": {
      const { genkey } = await import("./cli/genkey.ts");
      return genkey(rest);
    }
    case "pki": {
      await import("reflect-metadata");
      const { pki } = await import("./cli/pki/pki.ts");
      return pki(rest);
    }
    case undefined:
      process.stderr.write(HELP);
      return 2;
    default:
      return usageError(undefined, `unknown subcommand "${subcommand}"`);
  }
}

process.exitCode = await main();
