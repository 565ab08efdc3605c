import { expect, test } from "bun:test";
import { join } from "node:path";

const ARGV = [process.execPath, join(import.meta.dir, "../main.ts"), "passwd"];

function passwd(input: string | Uint8Array, ...args: string[]): { status: number; out: string; err: string } {
  const run = Bun.spawnSync([...ARGV, ...args], { stdin: Buffer.from(input) });
  return { status: run.exitCode, out: run.stdout.toString(), err: run.stderr.toString() };
}

/** At a terminal: each text is typed when the prompt before it has come. */
async function typed(answers: readonly [prompt: string, text: string][]): Promise<{ status: number; screen: string }> {
  let screen = "";
  const waiting = [...answers];
  const child = Bun.spawn([...ARGV, "ann"], {
    terminal: {
      data(terminal, bytes) {
        screen += new TextDecoder().decode(bytes);
        while (waiting[0] !== undefined && screen.includes(waiting[0][0])) terminal.write(waiting.shift()![1]);
      },
    },
  });
  const status = await child.exited;
  child.terminal?.close();
  return { status, screen };
}

test("the line on stdout is the user's, and its hash that of the line on stdin without its end", async () => {
  for (const input of ["correct horse\n", "correct horse\r\n", "correct horse"]) {
    const { status, out, err } = passwd(input, "ann");
    const [, hash] = /^ann:(\$argon2id\$v=19\$m=19456,t=2,p=1\$\S+)\n$/.exec(out) ?? [];
    expect(await Bun.password.verify("correct horse", hash!)).toBe(true);
    expect([status, err]).toEqual([0, ""]);
  }
  expect(passwd("x\n", "ann").out).not.toBe(passwd("x\n", "ann").out);
});

test("no password, two lines, and what no client can send are refused with status 1, and nothing is printed", () => {
  const inputs: [string | Uint8Array, RegExp][] = [
    ["", /the password is empty/],
    ["\n", /the password is empty/],
    ["ann\ncorrect horse\n", /more than one line/],
    ["a\tb\n", /control character/],
    [Uint8Array.of(0xe9, 10), /not valid UTF-8/],
    ["x".repeat(128), /longer than 127 bytes/],
    ["x".repeat(1 << 20), /longer than 127 bytes/],
  ];
  for (const [input, problem] of inputs) {
    const { status, out, err } = passwd(input, "ann");
    expect([status, out]).toEqual([1, ""]);
    expect(err).toMatch(problem);
  }
});

test("a name that no line can hold, none and two are wrong usage, before a password is asked for", () => {
  for (const args of [[], ["a", "b"], ["a:b"], [""], ["--nope", "a"]]) {
    const { status, out, err } = passwd("x\n", ...args);
    expect([status, out]).toEqual([2, ""]);
    expect(err).toEndWith('\nTry "morgana passwd --help".\n');
  }
});

test("at a terminal it asks twice, and what is typed is not shown", async () => {
  const right = await typed([
    ["Password of ann: ", "corrext\x7f\x7fct horse\r"],
    ["The same again: ", "nonsense\x15correct horse\r"],
  ]);
  expect(right.status).toBe(0);
  const [hash] = /\$argon2id\S+/.exec(right.screen)!;
  expect(await Bun.password.verify("correct horse", hash)).toBe(true);
  expect(right.screen).not.toMatch(/cor|nonsense/);
  const other = await typed([
    ["Password of ann: ", "correct horse\r"],
    ["The same again: ", "battery staple\r"],
  ]);
  expect(other).toEqual({ status: 1, screen: expect.stringContaining("the two passwords differ") });
  const interrupted = await typed([["Password of ann: ", "correct\x03"]]);
  expect(interrupted).toEqual({ status: 1, screen: expect.not.stringContaining("argon2id") });
});
