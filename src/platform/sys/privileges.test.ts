import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CAP_NET_ADMIN, CAP_NET_BIND_SERVICE } from "./privileges.ts";

const ROOT = join(import.meta.dir, "../../..");

/** A process that has several threads before it drops anything, and then says what each of them has, and what a program gets. */
const SCRIPT = `
import { readdirSync, readFileSync } from "node:fs";
import { keepCapabilities } from ${JSON.stringify(join(import.meta.dir, "privileges.ts"))};
await Bun.password.hash("x", { algorithm: "argon2id", memoryCost: 1024, timeCost: 2 });
keepCapabilities([${CAP_NET_ADMIN}]);
await Bun.password.hash("x", { algorithm: "argon2id", memoryCost: 1024, timeCost: 2 });
const of = (text) => [...text.matchAll(/(?:CapPrm|CapEff|CapInh|NoNewPrivs):\\t(\\S+)/g)].map(([, value]) => value).join(" ");
const tasks = readdirSync("/proc/self/task").map((id) => of(readFileSync("/proc/self/task/" + id + "/status", "utf8")));
const child = Bun.spawnSync(["cat", "/proc/self/status"]).stdout.toString();
console.log(JSON.stringify({ tasks, child: of(child), words: process.argv.slice(-2), said: process.env.SAID }));
`;

describe.skipIf(process.geteuid?.() !== 0)("as root", () => {
  const run = (...prefix: string[]) => {
    const words = [...prefix, process.execPath, "-e", SCRIPT, "a word", ""];
    const { stdout, stderr } = Bun.spawnSync(words, { env: { ...process.env, SAID: "it" }, timeout: 20_000 });
    expect(stderr.toString()).toBe("");
    return JSON.parse(stdout.toString());
  };
  const NONE = "0000000000000000";
  const ADMIN = "0000000000001000";

  test("every thread has what is kept and nothing else, and so has a program that is started", () => {
    const { tasks, child } = run();
    expect(tasks.length).toBeGreaterThan(1);
    expect([...new Set(tasks)]).toEqual([`${NONE} ${ADMIN} ${ADMIN} 1`]);
    expect(child).toBe(`${NONE} ${ADMIN} ${ADMIN} 1`);
  });

  test("the words and the environment are the same after the new start", () => {
    const { words, said } = run();
    expect([words, said]).toEqual([["a word", ""], "it"]);
  });

  test("a capability that was not there does not come", () => {
    const { tasks } = run("setpriv", "--inh-caps=-all", "--bounding-set=-all,+net_raw");
    expect([...new Set(tasks)]).toEqual([`${NONE} ${NONE} ${NONE} 1`]);
  });
});

test("wherever somebody is told to give a file capabilities, it is told first to keep others from it", () => {
  const told = ["README.md", "docs/**/*", "src/**/*.ts"].flatMap((pattern) =>
    [...new Bun.Glob(pattern).scanSync(ROOT)]
      .filter((path) => !path.endsWith(".test.ts"))
      .flatMap((path) => {
        const text = readFileSync(join(ROOT, path), "utf8");
        const found = [...text.matchAll(/setcap [a-z$]/g)];
        return found.map(({ index }) => [path, text.slice(Math.max(0, index - 200), index)] as const);
      }),
  );
  expect(told.map(([path]) => path).sort()).toEqual(["docs/unix.md", "src/platform/sys/privileges.ts"]);
  for (const [path, before] of told)
    expect([path, before]).toEqual([path, expect.stringMatching(/chown root:[\s\S]*chmod 0750/)]);
});

test("the units leave what the network and a port below 1024 need", () => {
  for (const name of ["client", "server"]) {
    const unit = readFileSync(join(ROOT, `docs/morgana-${name}@.service`), "utf8");
    expect([name, /^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1]]).toEqual([
      name,
      "CAP_NET_ADMIN CAP_NET_BIND_SERVICE",
    ]);
  }
  expect([CAP_NET_BIND_SERVICE, CAP_NET_ADMIN]).toEqual([10, 12]);
});
