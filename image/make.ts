/** From the binary and Debian's packages to what QEMU boots. */
import { chmodSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Assembled, assemble } from "./assemble.ts";
import { readCpio, writeCpio } from "./cpio.ts";
import type { DebianFiles } from "./debian.ts";
import { parseYml } from "./linuxkit-yml.ts";
import { prunedKernel } from "./modules.ts";
import { ociImage } from "./oci.ts";
import { writeTar } from "./tar.ts";
import { type Entry, file, merge, withParents } from "./tree.ts";

/** Where the C library's loader looks without a cache of its own, and what it loads from there. */
const LIBRARY_FOLDER = "lib/x86_64-linux-gnu";
const LIBRARIES = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libcrypto.so.3", "libssl.so.3"].concat([
  "liblzo2.so.2",
  "liblz4.so.1",
]);
const LOADER = "lib64/ld-linux-x86-64.so.2";

const INIT_FLAGS = [
  ..."-Os -nostdlib -static -ffreestanding -fno-pie -no-pie -fno-stack-protector -fcf-protection=none".split(" "),
  ..."-fno-asynchronous-unwind-tables -Wall -Wextra -Werror -Wl,--build-id=none -Wl,-z,noexecstack -s".split(" "),
];

export interface Ingredients {
  /** The text of the yml. */
  readonly yml: string;
  /** By their names in the yml. */
  readonly images: ReadonlyMap<string, readonly Entry[]>;
}

/** folder: this one. @throws where gcc or a file is missing */
export function ingredients(binary: string, debian: DebianFiles, folder: string): Ingredients {
  const kernel = prunedKernel(debian.folder.kernel);
  const { libc, openssl, lzo, lz4 } = debian.folder;
  const libraries = [libc, openssl, lzo, lz4].flatMap((each) => [join(each, "usr"), each]);
  const found = (path: string): Uint8Array => {
    const full = libraries.map((each) => join(each, path)).find((each) => existsSync(each));
    if (full === undefined) throw new Error(`${path} is not in Debian's packages`);
    return readFileSync(realpathSync(full));
  };
  const root = [
    file("init", compileInit(folder), 0o755),
    file("morgana", readFileSync(binary), 0o755),
    file(LOADER, found(`${LIBRARY_FOLDER}/ld-linux-x86-64.so.2`), 0o755),
    ...LIBRARIES.map((name) => file(`${LIBRARY_FOLDER}/${name}`, found(`${LIBRARY_FOLDER}/${name}`))),
  ];
  return {
    yml: readFileSync(join(folder, "linuxkit.yml"), "utf8"),
    images: new Map([
      [
        "morgana/kernel:local",
        [file("kernel", kernel.image), file("kernel.tar", writeTar(withParents(kernel.modules)))],
      ],
      ["morgana/root:local", withParents(root)],
    ]),
  };
}

function compileInit(folder: string): Uint8Array {
  if (Bun.which("gcc") === null) throw new Error("gcc is missing: it compiles image/init.c");
  const out = join(folder, `.init-${process.pid}`);
  try {
    const done = Bun.spawnSync(["gcc", ...INIT_FLAGS, "-o", out, join(folder, "init.c")], { stderr: "pipe" });
    if (done.exitCode !== 0) throw new Error(`image/init.c:\n${done.stderr}`);
    return readFileSync(out);
  } finally {
    rmSync(out, { force: true });
  }
}

/** Without LinuxKit. */
export const byAssembler = ({ yml, images }: Ingredients): Assembled => assemble(parseYml(yml), images);

/** With the LinuxKit at this path; scratch: a folder for its cache and output, which is removed. */
export function byLinuxkit({ yml, images }: Ingredients, linuxkit: string, scratch: string): Assembled {
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  const run = (...args: string[]): void => {
    const argv = [linuxkit, "--cache", join(scratch, "cache"), ...args];
    const done = Bun.spawnSync(argv, { cwd: scratch, stdout: "pipe", stderr: "pipe" });
    if (done.exitCode !== 0) throw new Error(`${argv.join(" ")}:\n${done.stdout}${done.stderr}`);
  };
  try {
    for (const [name, entries] of images) {
      const archive = join(scratch, "image.tar");
      writeFileSync(archive, ociImage(name, entries));
      run("cache", "import", archive);
      rmSync(archive);
    }
    writeFileSync(join(scratch, "linuxkit.yml"), yml);
    run("build", "--format", "kernel+initrd", "--no-sbom", "--arch", "amd64", "--name", "morgana", "linuxkit.yml");
    return {
      kernel: readFileSync(join(scratch, "morgana-kernel")),
      cmdline: readFileSync(join(scratch, "morgana-cmdline"), "utf8"),
      entries: readCpio(Bun.gunzipSync(readFileSync(join(scratch, "morgana-initrd.img")))),
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The root file system as one cpio archive, equal for equal files whoever put them together. */
export const initrd = ({ entries }: Assembled): Uint8Array<ArrayBuffer> => writeCpio(merge(entries));

/** zstd is what the kernel unpacks fastest for its size. level: 1 to 19. @throws where zstd is missing */
export function compress(archive: Uint8Array, level: number, out: string): void {
  if (Bun.which("zstd") === null) throw new Error("zstd is missing");
  const plain = `${out}.cpio`;
  try {
    writeFileSync(plain, archive);
    const argv = ["zstd", "-q", "-f", `-${level}`, "-T2", plain, "-o", out];
    const done = Bun.spawnSync(argv, { stderr: "pipe" });
    if (done.exitCode !== 0) throw new Error(`${argv.join(" ")}:\n${done.stderr}`);
    chmodSync(out, 0o644);
  } finally {
    rmSync(plain, { force: true });
  }
}

/** The files of a compressed root file system. */
export function unpack(path: string): Entry[] {
  const done = Bun.spawnSync(["zstd", "-q", "-dc", path], { stdout: "pipe", stderr: "pipe", maxBuffer: 1 << 30 });
  if (done.exitCode !== 0) throw new Error(`${path}:\n${done.stderr}`);
  return readCpio(done.stdout);
}
