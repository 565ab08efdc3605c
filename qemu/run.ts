/**
 * `bun qemu/run.ts [options]`: boots the image by hand, with the serial console on this terminal. Ctrl-C presses the
 * power button, a second one pulls the plug.
 */
import { parseArgs } from "node:util";
import { type AccelChoice, parseAccel } from "./accel.ts";
import { DISK_BUSES, type Link, MACHINES } from "./arguments.ts";
import { DISK_FORMATS } from "./config-disk.ts";
import { type RunningVm, startVm } from "./vm.ts";

const HELP = `usage: bun qemu/run.ts [--config PATH | --disk IMAGE] [options]

  --config PATH       folder (or one OpenVPN file) that becomes the config disk
  --disk IMAGE        a config disk that is there already
  --disk-format F     ${DISK_FORMATS.join(", ")} (default iso)
  --disk-bus B        ${DISK_BUSES.join(", ")} (default virtio-blk; ata needs --machine pc)
  --state IMAGE       a state disk
  --wan TAP           tap interface of the WAN; default: QEMU's own NAT, which needs no privilege
  --lan TAP           tap interface of the LAN; default: a network with nobody on it
  --netns NAME        network namespace that holds the taps
  --memory MIB        default 256
  --cpus N            default 2
  --machine M         ${MACHINES.join(", ")} (default q35)
  --accel A           auto, kvm, tcg (default: MORGANA_ACCEL, else auto: KVM where a guest proves that it works)
`;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: string[]): Promise<number> {
  let vm: RunningVm;
  try {
    const { values } = parseArgs({
      args: argv,
      options: {
        config: { type: "string" },
        disk: { type: "string" },
        "disk-format": { type: "string" },
        "disk-bus": { type: "string" },
        state: { type: "string" },
        wan: { type: "string" },
        lan: { type: "string" },
        netns: { type: "string" },
        memory: { type: "string" },
        cpus: { type: "string" },
        machine: { type: "string" },
        accel: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help) {
      process.stdout.write(HELP);
      return 0;
    }
    if (values.config !== undefined && values.disk !== undefined) throw new Error("--config or --disk, not both");
    const accel: AccelChoice | undefined = values.accel === undefined ? undefined : parseAccel(values.accel, "--accel");
    vm = await startVm({
      config: values.config,
      diskImage: values.disk,
      diskFormat: oneOf("--disk-format", DISK_FORMATS, values["disk-format"]),
      diskBus: oneOf("--disk-bus", DISK_BUSES, values["disk-bus"]),
      state: values.state,
      wan: tap(values.wan),
      lan: tap(values.lan),
      netns: values.netns,
      memory: number("--memory", values.memory),
      cpus: number("--cpus", values.cpus),
      machine: oneOf("--machine", MACHINES, values.machine),
      accel,
      detached: true,
      onLine: (line) => process.stdout.write(`${line}\n`),
    });
  } catch (error) {
    process.stderr.write(`qemu/run.ts: ${(error as Error).message}\n`);
    return 2;
  }
  process.stderr.write(`(${vm.accel}; Ctrl-C presses the power button)\n`);
  let pressed = false;
  const leave = (): void => {
    const failed = (): void => vm.process.kill("SIGKILL");
    if (pressed) failed();
    else vm.powerdown().catch(failed);
    pressed = true;
  };
  process.on("SIGINT", leave);
  process.on("SIGTERM", leave);
  const code = await vm.process.exited;
  await vm.stop();
  return code;
}

function tap(name: string | undefined): Link | undefined {
  return name === undefined ? undefined : { kind: "tap", name };
}

function oneOf<T extends string>(option: string, allowed: readonly T[], word: string | undefined): T | undefined {
  const found = allowed.find((known) => known === word);
  if (word !== undefined && found === undefined) throw new Error(`${option} is one of ${allowed.join(", ")}`);
  return found;
}

function number(option: string, word: string | undefined): number | undefined {
  if (word !== undefined && !/^[1-9][0-9]{0,5}$/.test(word)) throw new Error(`${option} is a whole number above 0`);
  return word === undefined ? undefined : Number(word);
}
