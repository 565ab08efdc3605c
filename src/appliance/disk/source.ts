/** The configuration as the machine's disks hold it now, and what was last made of it. */
import type { Log } from "../../lib/log.ts";
import { type LoadResult, loadProfile } from "../profile.ts";
import { DEFAULT_SETTINGS, withoutDhcp } from "../settings/settings.ts";
import { digestAgain, type FilesRead, NO_FILES, WatchedReader } from "./files-read.ts";
import { type ConfigDisk, findConfigDisk, releaseConfigDisk } from "./find.ts";

/** Only for a disk that is not there: the LAN address answers, nothing else does. */
const NO_CONFIGURATION: LoadResult = {
  ok: false,
  settings: withoutDhcp(DEFAULT_SETTINGS),
  notices: [],
  warnings: [],
  problems: [],
};

export class DiskSource {
  readonly #log: Log;
  #disk: ConfigDisk | undefined;
  #taken: LoadResult = NO_CONFIGURATION;
  /** What was read for it, and for what was read last. */
  #takenFiles: FilesRead = NO_FILES;
  #files: FilesRead = NO_FILES;

  constructor(log: Log) {
    this.#log = log;
  }

  /** What the disk held when it was last taken. */
  get taken(): LoadResult {
    return this.#taken;
  }

  /** Takes what the disk holds; undefined: there is no config disk. */
  tryTake(): LoadResult | undefined {
    const loaded = this.#read();
    if (loaded !== undefined) this.#take(loaded);
    return loaded;
  }

  /** The same; without a disk it says so, and the defaults are taken. */
  take(): LoadResult {
    const loaded = this.#read();
    if (loaded === undefined) this.#sayMissing();
    this.#take(loaded ?? NO_CONFIGURATION);
    return this.#taken;
  }

  /** A disk is there that was not, or it holds something else than what was taken. */
  hasChanged(): boolean {
    const wasThere = this.#disk !== undefined;
    const loaded = this.#read();
    if (loaded === undefined || (wasThere && gist(loaded) === gist(this.#taken))) return false;
    this.#log.write("info", "disk.changed", "the config disk is new or has changed: starting anew with it");
    return true;
  }

  /**
   * A disk is there whose files are others than those that were taken, in whatever: a list of revoked certificates, a client's file.
   * Only reads them, since packets wait meanwhile: a server asks every so often.
   */
  hasOtherFiles(): boolean {
    const disk = this.#find();
    if (disk === undefined) return false;
    const digest = digestAgain(disk.reader, this.#takenFiles.asked);
    releaseConfigDisk();
    return digest !== this.#takenFiles.digest;
  }

  #take(loaded: LoadResult): void {
    this.#taken = loaded;
    this.#takenFiles = this.#files;
  }

  /** The disk is let go of at once, so that it can be exchanged. */
  #read(): LoadResult | undefined {
    const disk = this.#find();
    if (disk === undefined) return undefined;
    const watched = new WatchedReader(disk.reader);
    const loaded = loadProfile(watched, { place: `the config disk (${disk.device})`, ...disk.options });
    this.#files = watched.files();
    releaseConfigDisk();
    return loaded;
  }

  #find(): ConfigDisk | undefined {
    const { disk } = findConfigDisk();
    const before = this.#disk;
    this.#disk = disk;
    if (disk !== undefined && (before?.device !== disk.device || before.content !== disk.content))
      this.#log.write("info", "disk.found", "", { device: disk.device, content: disk.content });
    return disk;
  }

  #sayMissing(): void {
    const { seen } = findConfigDisk();
    const others =
      seen.length === 0
        ? "the machine has none that the kernel knows (virtio, SCSI and IDE are seen; SATA and USB are not)"
        : `not it: ${seen.slice(0, 8).join(", ")}`;
    this.#log.write(
      "error",
      "disk.missing",
      `no config disk: ${others}. Attach a disk labelled MORGANA, CIDATA or cidata (ISO 9660, FAT or ext4) that holds the .ovpn file` +
        ", or one that is the bare .ovpn file or a tar archive (QEMU: -drive file=config.iso,format=raw,if=virtio,readonly=on);" +
        " the LAN stays closed until then, and I keep looking",
    );
  }
}

/** What a person would call different. */
const gist = ({ ok, settings, warnings, ...rest }: LoadResult): string =>
  JSON.stringify([ok, settings, warnings, "problems" in rest ? rest.problems : []]);
