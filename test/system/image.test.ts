/** The root file system of dist/: what is needed and nothing else. */
import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { unpack } from "../../image/make.ts";
import type { Entry } from "../../image/tree.ts";
import { ROOT } from "../support/world/router.ts";

const LIMIT_BYTES = 64_000_000;
const [KERNEL, INITRD, CMDLINE] = ["morgana-kernel", "morgana-initrd.img", "morgana-cmdline"].map((name) =>
  join(ROOT, "dist", name),
) as [string, string, string];

/** Those of LinuxKit's own are among them: it puts them into every root file system. */
const EXPECTED = [
  ["directory", "boot config dev dev/pts dev/shm etc lib lib/modules lib/x86_64-linux-gnu lib64 proc run sys tmp"],
  ["link", "etc/mtab etc/resolv.conf"],
  ["file", "etc/hosts init morgana lib64/ld-linux-x86-64.so.2"],
  ["file", "libc.so.6 libcrypto.so.3 libdl.so.2 libm.so.6 libpthread.so.0 libssl.so.3", "lib/x86_64-linux-gnu/"],
  ["file", "liblz4.so.1 liblzo2.so.2", "lib/x86_64-linux-gnu/"],
] as const;
const PROGRAMS = ["init", "morgana", "lib64/ld-linux-x86-64.so.2"];
const MODULES = /^lib\/modules\/[\w.+-]+(\/modules\.dep|(\/[\w-]+)*(\/[\w-]+\.ko)?)$/;

describe("the image", () => {
  let entries: Entry[] = [];

  beforeAll(() => {
    if (![KERNEL, INITRD, CMDLINE].every((path) => existsSync(path))) {
      const made = Bun.spawnSync([process.execPath, "scripts/image.ts"], {
        cwd: ROOT,
        stdout: "inherit",
        stderr: "pipe",
      });
      if (made.exitCode !== 0) throw new Error(`scripts/image.ts failed:\n${made.stderr}`);
    }
    entries = unpack(INITRD);
  }, 600_000);

  test("kernel and root file system are small enough", () => {
    expect(statSync(KERNEL).size + statSync(INITRD).size).toBeLessThanOrEqual(LIMIT_BYTES);
  });

  test("holds what is expected and nothing else", () => {
    const kinds = new Map<string, Entry["kind"]>();
    for (const [kind, names, folder = ""] of EXPECTED)
      for (const name of names.split(" ")) kinds.set(`${folder}${name}`, kind);
    const rest = entries.filter(({ path }) => !MODULES.test(path) || path === "lib/modules");
    expect(Object.fromEntries(rest.map(({ path, kind }) => [path, kind]))).toEqual(
      Object.fromEntries([...kinds].map(([path, kind]) => [path, kind])),
    );
  });

  test("only the stub, the program and the loader can be run, and none gains rights", () => {
    const runnable = entries.filter(({ kind, mode }) => kind === "file" && (mode & 0o111) !== 0);
    expect(runnable.map(({ path }) => path).sort()).toEqual([...PROGRAMS].sort());
    for (const { kind, mode, uid, gid, path } of entries) {
      expect({ path, uid, gid }).toEqual({ path, uid: 0, gid: 0 });
      if (kind !== "link") expect({ path, setId: mode & 0o6000 }).toEqual({ path, setId: 0 });
      if (kind !== "link" && path !== "tmp") expect({ path, others: mode & 0o022 }).toEqual({ path, others: 0 });
    }
  });

  test("has no shell and no package manager", () => {
    const forbidden = /(^|\/)(sh|ash|bash|dash|busybox|toybox|zsh|apk|apt|apt-get|dpkg|rpm|runc|containerd|getty)$/;
    expect(entries.filter(({ path }) => forbidden.test(path)).map(({ path }) => path)).toEqual([]);
  });

  test("every module that modules.dep names is there, uncompressed", () => {
    const dep = entries.find(({ path }) => path.endsWith("/modules.dep"))!;
    const folder = dep.path.slice(0, -"modules.dep".length);
    const named = new TextDecoder()
      .decode(dep.content)
      .split(/[:\s]+/)
      .filter((path) => path !== "");
    const modules = entries.filter(({ path }) => path.endsWith(".ko"));
    expect([...new Set(named)].map((path) => `${folder}${path}`).sort()).toEqual(
      modules.map(({ path }) => path).sort(),
    );
    for (const { path, content } of modules) expect({ path, elf: content[0] }).toEqual({ path, elf: 0x7f });
    for (const name of [
      "virtio_net",
      "virtio_blk",
      "virtio_scsi",
      "sr_mod",
      "isofs",
      "vfat",
      "nls_ascii",
      "button",
      "evdev",
      "zram",
      "zsmalloc",
      "lzo-rle",
    ])
      expect(named.some((path) => path.endsWith(`/${name}.ko`))).toBe(true);
  });

  test("the modules are those of the kernel", () => {
    const version = entries.find(({ path }) => path.endsWith("/modules.dep"))!.path.split("/")[2]!;
    // The boot protocol's header points to the version (Documentation/x86/boot.rst, kernel_version).
    const kernel = readFileSync(KERNEL);
    const at = kernel.readUInt16LE(0x20e) + 0x200;
    expect(kernel.toString("latin1", at, at + 200).split(" ", 1)[0]).toBe(version);
  });

  test("the program is the one in dist", () => {
    const digest = (bytes: Uint8Array): string => new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
    const program = entries.find(({ path }) => path === "morgana")!;
    expect(digest(program.content)).toBe(digest(readFileSync(join(ROOT, "dist/morgana"))));
  });

  test("the command line leaves the console to the program, and all memory to files that need not stay in it", () => {
    const words = readFileSync(CMDLINE, "utf8").trim().split(" ");
    for (const word of [
      "console=ttyS0",
      "rootfstype=tmpfs",
      "initramfs_options=size=100%,mode=0755",
      "transparent_hugepage=never",
      "initcall_blacklist=tracer_init_tracefs",
      "quiet",
    ])
      expect(words).toContain(word);
  });
});
