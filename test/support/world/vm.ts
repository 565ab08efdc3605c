/** The booted appliance as a world's router: QEMU on taps that are bridged to the router's interfaces. */
import { join } from "node:path";
import type { Daemon } from "./process.ts";
import { ROOT } from "./router.ts";
import type { World } from "./world.ts";

export interface VmOptions {
  /** MiB. */
  readonly memory?: number;
  readonly machine?: "q35" | "pc";
  /** 2 unless told: WAN and LAN; 1: only the WAN. */
  readonly nics?: number;
  /** A folder for the config disk, or undefined for no disk. */
  readonly config: string | undefined;
}

/** Bridges a tap for each side to the router's interfaces; once for each world. */
export async function addTaps(world: World): Promise<void> {
  await world.sh(
    "rt",
    `for p in 'w0 brw tw' 'l1 brl tl'; do set -- $p
       ip link show $2 >/dev/null 2>&1 && continue
       ip link add $2 type bridge mcast_snooping 0; ip link set $2 up; ip link set $1 master $2
       ip tuntap add $3 mode tap; ip link set $3 up master $2
     done`,
  );
}
