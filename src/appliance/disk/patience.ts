/** How long a machine that has no config disk waits for one, before it goes on with the defaults. */
import { readdirSync } from "node:fs";

/** SCSI and ATA disks appear a moment after their drivers... */
const DISK_PATIENCE_MS = 3000;
/** ...and some are slow to spin up. Until then the LAN keeps quiet: the disk may give it another address than the default. */
const SLOW_DISK_PATIENCE_MS = 15_000;

/** Whether no disk is waited for any more. A SCSI or ATA controller may be looking for one still. @param hosts the kernel's list of them */
export function diskIsOverdue(waitedMs: number, hosts = "/sys/class/scsi_host"): boolean {
  if (waitedMs < DISK_PATIENCE_MS) return false;
  return waitedMs >= SLOW_DISK_PATIENCE_MS || !hasEntries(hosts);
}

function hasEntries(folder: string): boolean {
  try {
    return readdirSync(folder).length > 0;
  } catch {
    return false; // a kernel without such drivers has no such folder
  }
}
