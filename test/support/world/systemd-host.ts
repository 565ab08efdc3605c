/**
 * systemd as the first process of a machine in a world's namespace: the files of the real one below a layer of memory, and of its units none
 * but what the base of every machine has, and what is put there.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inUserNamespace } from "./privilege.ts";
import { type Daemon, must, PATIENCE, type Result, run } from "./process.ts";
import { morgana, ROOT } from "./router.ts";
import type { Part, World } from "./world.ts";

const SYSTEMD = "/lib/systemd/systemd";
/** Packages that would change this machine if they were installed are unpacked alone (scripts/bootstrap fetches them). */
const PACKAGES = join(ROOT, "dist/debian");

/** Why there can be none here; undefined: there can. */
export function noSystemd(): string | undefined {
  if (process.getuid?.() !== 0 || inUserNamespace()) return "only root can have a machine of systemd";
  return existsSync(SYSTEMD) ? undefined : "systemd is not installed";
}

/** The file of a Debian package; undefined: scripts/bootstrap could not fetch it. */
export function debianPackage(name: string): string | undefined {
  const files = existsSync(PACKAGES) ? readdirSync(PACKAGES) : [];
  const file = files.find((each) => each.startsWith(`${name}_`) && each.endsWith(".deb"));
  return file && join(PACKAGES, file);
}

/** Of no use in a namespace, or for the kernel of all. */
const MASKED = [
  ...["sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount"],
  ...["proc-sys-fs-binfmt_misc.automount", "dev-hugepages.mount", "dev-mqueue.mount", "kmod-static-nodes.service"],
  ...[
    "systemd-sysctl.service",
    "systemd-modules-load.service",
    "systemd-random-seed.service",
    "systemd-binfmt.service",
  ],
  ...["systemd-remount-fs.service", "systemd-repart.service", "systemd-firstboot.service", "systemd-logind.service"],
];
const TARGET = "machine.target";

/** The outer shell waits, and removes what the machine had of control groups. */
const OUTER = `at=$1
mkdir $at/groups; mount -t cgroup2 cgroup2 $at/groups; group=$at/groups/morgana-$$; mkdir $group; echo $$ > $group/cgroup.procs
status=0; unshare --fork --kill-child --pid --mount --uts --ipc --cgroup --propagation private sh -ec "$2" sh "$@" || status=$?
echo $$ > $at/groups/cgroup.procs; find $group -depth -type d -exec rmdir {} +; umount $at/groups; exit $status`;

const INNER = `at=$1 files=$3 product=$4 program=$5
mkdir $at/layers; mount -t tmpfs tmpfs $at/layers; cd $at/layers; mkdir upper work root; root=$at/layers/root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
read pid rest < /proc/self/stat
mount -t proc proc root/proc; mount -t sysfs sysfs root/sys; mount -t cgroup2 cgroup2 root/sys/fs/cgroup
for i in run tmp dev; do mount -t tmpfs tmpfs root/$i; done
mkdir root/dev/net root/dev/pts root/dev/shm
mknod -m 666 root/dev/null c 1 3; mknod -m 666 root/dev/zero c 1 5; mknod -m 666 root/dev/full c 1 7
mknod -m 666 root/dev/random c 1 8; mknod -m 666 root/dev/urandom c 1 9; mknod -m 666 root/dev/tty c 5 0; mknod -m 666 root/dev/net/tun c 10 200
mount -t devpts devpts -o newinstance,ptmxmode=0666 root/dev/pts; ln -s pts/ptmx root/dev/ptmx; ln -s /proc/self/fd root/dev/fd
rm -rf root/etc/systemd/system root/etc/resolv.conf
for deb in $at/packages/*.deb; do test ! -e $deb || dpkg-deb --fsys-tarfile $deb | tar -x --keep-directory-symlink -C root; done
cp -r $files/. root
mkdir -p root/opt/morgana; mount --bind $product root/opt/morgana; touch root/opt/program; mount --bind $program root/opt/program
hostname machine
echo "first process $pid"
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot root ${SYSTEMD} --system --unit=${TARGET} --log-target=journal`;

export class SystemdHost {
  readonly #daemon: Daemon;
  readonly #pid: string;

  private constructor(daemon: Daemon, pid: string) {
    this.#daemon = daemon;
    this.#pid = pid;
  }

  /**
   * Starts it, and waits until it is up. `/usr/local/bin/morgana` is the product.
   * @param files by their paths on that machine @param packages files of Debian packages that it has unpacked
   */
  static async boot(
    world: World,
    part: Part,
    files: Readonly<Record<string, string>>,
    packages: readonly string[] = [],
  ): Promise<SystemdHost> {
    const at = join(world.dir, `systemd-${part}`);
    const own = join(at, "files");
    mkdirSync(join(at, "packages"), { recursive: true });
    for (const file of packages) cpSync(file, join(at, "packages", file.split("/").at(-1)!));
    const target = "[Unit]\nDescription=A machine\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n";
    const [program, ...sources] = morgana();
    const all = {
      [`/etc/systemd/system/${TARGET}`]: target,
      "/usr/local/bin/morgana": `#!/bin/sh\nexec /opt/program ${sources.length > 0 ? "/opt/morgana/src/main.ts" : ""} "$@"\n`,
      ...files,
    };
    for (const [path, text] of Object.entries(all)) {
      mkdirSync(dirname(join(own, path)), { recursive: true });
      const mode = path.includes("/bin/") ? 0o755 : path.startsWith("/etc/morgana/") ? 0o600 : 0o644;
      writeFileSync(join(own, path), text, { mode });
    }
    await must([
      "sh",
      "-ec",
      'cd "$1"; shift; for i; do ln -s /dev/null $i; done',
      "sh",
      join(own, "etc/systemd/system"),
      ...MASKED,
    ]);
    const argv = ["sh", "-ec", OUTER, "sh", at, INNER, own, ROOT, program!];
    const daemon = world.start(`systemd-${part}`, part, argv);
    const pid = (await daemon.says(/first process (\d+)/, PATIENCE))?.[1];
    if (pid === undefined) throw new Error(`systemd was not started:\n${daemon.log()}`);
    const host = new SystemdHost(daemon, pid);
    // Until it listens it is said to be offline.
    const waits =
      "until systemctl is-system-running --wait 2>/dev/null | grep -E 'running|degraded'; do sleep 0.1; done";
    const { code } = await host.run(["sh", "-c", waits], PATIENCE);
    if (code !== 0) throw new Error(`systemd does not come up:\n${await host.journal()}\n${daemon.log()}`);
    return host;
  }

  /** Runs a program there to its end. */
  run(argv: readonly string[], seconds = 30, input?: string): Promise<Result> {
    const enter = ["nsenter", "--target", this.#pid, "--all", "--root", "--wd"];
    return run([...enter, ...argv], seconds, input);
  }

  /** A program that must succeed. */
  async sh(script: string, seconds = 2 * PATIENCE): Promise<string> {
    const { code, out } = await this.run(["sh", "-ec", script], seconds);
    if (code !== 0) throw new Error(`${script}: status ${code}: ${out}\n${await this.journal()}`);
    return out;
  }

  /** Puts a file there. */
  async put(path: string, text: string): Promise<void> {
    const { code, out } = await this.run(["sh", "-ec", `cat > ${path}`], 30, text);
    if (code !== 0) throw new Error(`${path}: ${out}`);
  }

  /** A property of a unit (systemctl(1), show). */
  async property(unit: string, name: string): Promise<string> {
    return (await this.sh(`systemctl show --value -p ${name} ${unit}`)).trim();
  }

  /** The last that was logged. */
  async journal(unit?: string): Promise<string> {
    const of = unit === undefined ? [] : ["-u", unit];
    return (await this.run(["journalctl", "--no-pager", "-o", "cat", "-n", "60", ...of])).out;
  }

  /** Ends everything on it. */
  async stop(): Promise<void> {
    if (this.#daemon.alive) process.kill(Number(this.#pid), "SIGKILL");
    await this.#daemon.ended(PATIENCE);
  }

  /** Of a process that a unit runs, from /proc. */
  async status(unit: string): Promise<string> {
    return this.sh(`cat /proc/$(systemctl show --value -p MainPID ${unit})/status`);
  }
}

/** A unit of docs/, as a machine has it. */
export const unitOf = (name: string): string => readFileSync(join(ROOT, "docs", name), "utf8");
