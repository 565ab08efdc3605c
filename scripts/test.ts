/**
 * `npm test`: types, lint, unit, property and simulation tests, the image, the interop tests and the booted VM. Ends with the line
 * `N passed, N failed`. What needs network namespaces runs as root, or in a user namespace where the kernel allows that, else it is skipped.
 * `bun scripts/test.ts NAME...` runs only some of the steps: check, unit, image, interop, system.
 */
import { Glob } from "bun";
import { canMakeNamespaces, privileged, userNamespaceProblem } from "../test/support/world/privilege.ts";
import { BINARY } from "./build-binary.ts";
import { commandLine } from "./command-line.ts";
import { bunTest, bunTestBeside, checks, endWithMe, finish, newTally, program, programBeside, ROOT } from "./steps.ts";

const STEPS = ["check", "unit", "image", "interop", "system"] as const;
const USAGE = `usage: npm test [-- ${STEPS.join("|")} ...]\n\nEvery test, or only those steps.`;
const chosen = commandLine(USAGE, {}, (word) => STEPS.some((step) => step === word)).words;
const wanted = (step: (typeof STEPS)[number]): boolean => chosen.length === 0 || chosen.includes(step);

const tally = newTally();
const bun = process.execPath;
// Files in processes of their own: a crash is one failure, not the end.
const PARALLEL = "--parallel=2";
// Most of the interop tests' time is waiting for openvpn's own.
const MORE_PARALLEL = "--parallel=5";
/** Makes the image from a clone of its own, and compares. */
const MADE_ANEW = "./test/system/image-reproducible.test.ts";
const tests = (argv: readonly string[]): string[] => [bun, "test", "--timeout", "60000", ...argv];

/** The test files below some folders. */
const below = (...folders: string[]): string[] =>
  folders
    .flatMap((folder) => [...new Glob(`${folder}/**/*.test.ts`).scanSync({ cwd: ROOT })].map((path) => `./${path}`))
    .sort();

const problem = canMakeNamespaces() ? undefined : userNamespaceProblem();
if (problem !== undefined)
  console.log(`\nno network namespaces here, so the tests that need them are skipped: ${problem}`);
const inWorld = (argv: readonly string[]): string[] => (problem === undefined ? privileged(tests(argv)) : tests(argv));
endWithMe();
if (wanted("check")) await checks(tally);
if (wanted("unit")) {
  const world = below("test/support/world", "test/interop", "test/system");
  const files = below("src", "test", "scripts", "image", "bench", "fuzz").filter((path) => !world.includes(path));
  await bunTest(tally, "unit, property and simulation tests", inWorld([PARALLEL, ...files]));
}
let image = Promise.resolve(true);
if (wanted("image")) {
  if (await program(tally, "the binary", [bun, "scripts/build.ts"])) {
    // What users run, and it starts in a third of the processor time that the sources take.
    process.env["MORGANA"] ??= BINARY;
    // Its compression takes most of a minute of both processors, twice; only the booted VM needs it.
    image = programBeside(tally, "the image", [bun, "scripts/image.ts"]).then(async (isMade) => {
      if (isMade && wanted("system")) await bunTestBeside(tally, "the image once more", tests([MADE_ANEW]));
      return isMade;
    });
  } else image = Promise.resolve(false);
}
if (wanted("interop"))
  await bunTest(
    tally,
    "interop with openvpn",
    inWorld([MORE_PARALLEL, ...below("test/support/world", "test/interop")]),
  );
const isMade = await image;
if (wanted("system")) {
  if (!isMade) console.log("\nwithout an image the booted VM cannot be tested");
  const files = below("test/system", "qemu").filter((path) => path !== MADE_ANEW || !wanted("image"));
  await bunTest(tally, "the booted VM", inWorld([PARALLEL, ...files]));
}
finish(tally);
