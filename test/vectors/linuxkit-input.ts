/** A small input that shows what LinuxKit adds, drops and replaces. linuxkit-listing.json is what it made of this. */
import { writeTar } from "../../image/tar.ts";
import { directory, type Entry, file, link } from "../../image/tree.ts";

export const LINUXKIT_YML = `
kernel:
  image: fixed/kernel:1
  cmdline: "console=ttyS0 quiet"
init:
  - fixed/root:1
  - fixed/more:1
files:
  - path: config
    directory: true
    mode: "0755"
  - path: /var/lib/deep/file
    contents: "text"
    mode: "0640"
  - path: secret
    contents: "default mode"
  - path: closed/folder
    directory: true
  - path: var/link
    symlink: "../etc/mtab"
  - path: tmp
    directory: true
    mode: "1777"
`;

export const LINUXKIT_IMAGES: ReadonlyMap<string, readonly Entry[]> = new Map([
  [
    "fixed/kernel:1",
    [
      file("kernel", "not a kernel"),
      file(
        "kernel.tar",
        writeTar([directory("lib"), directory("lib/modules", 0o700), file("lib/modules/x.ko", "x", 0o600)]),
      ),
      file("other", "is left out"),
    ],
  ],
  [
    "fixed/root:1",
    [
      file(".dockerenv", "dropped"),
      file("Dockerfile", "dropped"),
      directory("dev", 0o700),
      file("dev/console", "dropped"),
      directory("etc", 0o700),
      file("etc/hostname", "dropped"),
      file("etc/hosts", "replaced", 0o600),
      file("etc/resolv.conf", "replaced", 0o600),
      file("init", "#!", 0o755),
      directory("lib"),
      { ...file("lib/owned", "owned", 0o4751), uid: 7, gid: 8 },
      link("lib/link", "owned"),
      directory("boot"),
      file("boot/left-out", "x"),
    ],
  ],
  ["fixed/more:1", [directory("proc", 0o555), file("init", "replaces the first", 0o700), file("more", "")]],
]);
