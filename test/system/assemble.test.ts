/** The assembler against what the real LinuxKit made of the same small input, and its archives against cpio and tar. */
import { describe, expect, test } from "bun:test";
import { assemble } from "../../image/assemble.ts";
import { readCpio, writeCpio } from "../../image/cpio.ts";
import { parseYml } from "../../image/linuxkit-yml.ts";
import { dependencies } from "../../image/modules.ts";
import { readTar, writeTar } from "../../image/tar.ts";
import { cleanPath, directory, type Entry, file, link, listing, merge } from "../../image/tree.ts";
import { LINUXKIT_IMAGES, LINUXKIT_YML } from "../vectors/linuxkit-input.ts";
import expected from "../vectors/linuxkit-listing.json";

const TREE: readonly Entry[] = [
  directory("a", 0o1777),
  { ...file("a/odd", "12345", 0o4751), uid: 7, gid: 8 },
  file("empty", ""),
  link("link", "a/odd"),
];

/** What a program of the system says about an archive on its standard input. */
function say(argv: readonly string[], archive: Uint8Array): string {
  const done = Bun.spawnSync([...argv], { stdin: archive, stdout: "pipe", stderr: "pipe" });
  expect(done.exitCode, done.stderr.toString()).toBe(0);
  return done.stdout.toString();
}

describe("the assembler", () => {
  test("makes what LinuxKit makes", () => {
    const made = assemble(parseYml(LINUXKIT_YML), LINUXKIT_IMAGES);
    expect(listing(merge(made.entries))).toEqual(expected.files);
    expect(made.cmdline).toBe(expected.cmdline);
    expect(new TextDecoder().decode(made.kernel)).toBe(expected.kernel);
  });

  test("names everything in the yml that it does not know", () => {
    const yml = `
kernel:
  image: a/kernel:1
  ucode: intel.cpio
onboot:
  - name: dhcpcd
    image: a/dhcpcd:1
files:
  - path: a
    source: /etc/passwd
  - path: b
    mode: "999"
    directory: true
`;
    const problems = (() => {
      try {
        parseYml(yml);
        return "";
      } catch (error) {
        return (error as Error).message;
      }
    })();
    for (const name of ["kernel.ucode", "onboot", "files[0].source", "files[1].mode", "files[0]: exactly one"])
      expect(problems).toContain(name);
  });

  test("says which image is missing, and which has no kernel", () => {
    const yml = parseYml("kernel:\n  image: a/kernel:1\ninit:\n  - a/root:1\n");
    expect(() => assemble(yml, new Map())).toThrow('"a/kernel:1"');
    expect(() => assemble(yml, new Map([["a/kernel:1", []]]))).toThrow('"kernel"');
    expect(() => assemble(yml, new Map([["a/kernel:1", [file("kernel", "")]]]))).toThrow('"a/root:1"');
  });

  test("merges: the last of a path wins, a folder is before its content", () => {
    const merged = merge([file("b/c", "1"), file("a", "old"), directory("b"), file("a", "new", 0o600)]);
    expect(merged.map(({ path }) => path)).toEqual(["a", "b", "b/c"]);
    expect(merged[0]).toEqual(file("a", "new", 0o600));
  });

  test("no path leaves the tree", () => {
    expect(cleanPath("./a//b/")).toBe("a/b");
    expect(() => cleanPath("a/../../b")).toThrow("..");
  });
});

describe("archives", () => {
  test("cpio and tar come back as they were", () => {
    expect(readCpio(writeCpio(TREE))).toEqual([...TREE]);
    expect(readTar(writeTar(TREE))).toEqual([...TREE]);
  });

  test("GNU tar reads what is written", () => {
    const text = say(["tar", "-tv", "--numeric-owner"], writeTar(TREE));
    expect(text).toMatch(/^drwxrwxrwt 0\/0 .* a\/$/m);
    expect(text).toMatch(/^-rwsr-x--x 7\/8 +5 .* a\/odd$/m);
    expect(text).toMatch(/^lrwxrwxrwx 0\/0 .* link -> a\/odd$/m);
  });

  test("what GNU tar writes is read, long names as well", () => {
    const name = `${"long".repeat(40)}.ko`;
    const folder = say(["mktemp", "-d"], new Uint8Array(0)).trim();
    try {
      Bun.spawnSync(["sh", "-c", `echo x > ${folder}/${name}`]);
      const archive = Bun.spawnSync(["tar", "-c", "--format=pax", "-C", folder, name]).stdout;
      const read = readTar(archive);
      expect(read.map(({ path }) => path)).toEqual([name]);
      expect(new TextDecoder().decode(read[0]?.content)).toBe("x\n");
    } finally {
      Bun.spawnSync(["rm", "-r", folder]);
    }
  });

  test("a truncated archive is refused", () => {
    const cpio = writeCpio(TREE);
    expect(() => readCpio(cpio.subarray(0, cpio.length - 128))).toThrow();
    expect(() => readTar(writeTar([file("a", "x".repeat(2000))]).subarray(0, 1024))).toThrow("truncated");
  });

  test("a module's dependencies", () => {
    const module = (text: string) => new TextEncoder().encode(`ELF\0license=GPL\0${text}\0name=x\0`);
    expect(dependencies(module("depends=virtio,virtio_ring"))).toEqual(["virtio", "virtio_ring"]);
    expect(dependencies(module("depends="))).toEqual([]);
  });
});
