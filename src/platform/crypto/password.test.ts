import { expect, test } from "bun:test";
import { Passwords, type PasswordTools } from "./password.ts";
import { hashPassword } from "./password-hash.ts";

/** Runs until everything that was asked is answered. */
async function answers(passwords: Passwords, wanted: number, got: unknown[]): Promise<void> {
  while (got.length < wanted) {
    await new Promise((resolve) => setImmediate(resolve));
    passwords.poll(7);
  }
}

test("a right password is told from a wrong one, in a turn of the loop; nobody's password is wrong, and so is one for a hash that is none", async () => {
  const passwords = new Passwords();
  const hash = await hashPassword("correct horse");
  const got: [string, number, boolean][] = [];
  const ask = (name: string, of: string | undefined, password: string): unknown =>
    passwords.verify(of, password, (now, isRight) => got.push([name, now, isRight]));
  ask("right", hash, "correct horse");
  ask("wrong", hash, "battery staple");
  ask("nobody", undefined, "correct horse");
  ask("broken", "$argon2id$nonsense", "correct horse");
  expect(got).toEqual([]);
  await answers(passwords, 4, got);
  expect(got.toSorted()).toEqual([
    ["broken", 7, false],
    ["nobody", 7, false],
    ["right", 7, true],
    ["wrong", 7, false],
  ]);
  expect(passwords.pollAt()).toBe(Number.POSITIVE_INFINITY);
});

test("a user that there is not is compared with a hash as well, whose password would not help either", async () => {
  const compared: string[] = [];
  const tools: PasswordTools = {
    verify: async (_password, hash) => {
      compared.push(hash);
      return true;
    },
    hash: async () => "nobody's",
  };
  const passwords = new Passwords(tools);
  const got: boolean[] = [];
  passwords.verify(undefined, "x", (_now, isRight) => got.push(isRight));
  await answers(passwords, 1, got);
  expect([got, compared]).toEqual([[false], ["nobody's"]]);
});

test("few are compared at once, the others wait in their order, and what finds no room is counted", async () => {
  const open: PromiseWithResolvers<boolean>[] = [];
  const tools: PasswordTools = {
    verify: () => {
      const one = Promise.withResolvers<boolean>();
      open.push(one);
      return one.promise;
    },
    hash: async () => "",
  };
  const passwords = new Passwords(tools);
  const got: number[] = [];
  for (let i = 0; i < 300; i++) passwords.verify("hash", "x", () => got.push(i));
  expect(passwords.overflow).toBe(300 - 2 - 256);
  for (let i = 0; i < 258; i++) {
    while (open.length <= i) await new Promise((resolve) => setImmediate(resolve));
    expect(open.length).toBeLessThanOrEqual(i + 2);
    open[i]!.resolve(true);
  }
  await answers(passwords, 258, got);
  expect(got).toEqual(Array.from({ length: 258 }, (_, i) => i));
});

test("no hash is made before a password is asked for, and one that cannot be made ends nothing", async () => {
  let hashes = 0;
  const tools: PasswordTools = {
    verify: async () => true,
    hash: async () => {
      hashes++;
      throw new Error("no memory");
    },
  };
  const passwords = new Passwords(tools);
  expect(hashes).toBe(0);
  const got: boolean[] = [];
  for (let i = 0; i < 2; i++) passwords.verify(undefined, "x", (_now, isRight) => got.push(isRight));
  await answers(passwords, 2, got);
  expect([got, hashes]).toEqual([[false, false], 1]);
});

test("a question that is taken back is not looked into, and makes room", async () => {
  const open: (() => void)[] = [];
  const asked: string[] = [];
  const tools: PasswordTools = {
    verify: (password) => {
      asked.push(password);
      return new Promise((resolve) => open.push(() => resolve(true)));
    },
    hash: async () => "",
  };
  const passwords = new Passwords(tools);
  const got: string[] = [];
  const ask = (name: string) => passwords.verify("hash", name, () => got.push(name));
  const back = Array.from({ length: 258 }, (_, i) => ask(`${i}`));
  expect([ask("too many"), passwords.overflow]).toEqual([undefined, 1]);
  for (const takeBack of back.slice(2)) takeBack?.();
  expect(ask("last")).toBeDefined();
  for (let i = 0; i < 3; i++) {
    while (open.length <= i) await new Promise((resolve) => setImmediate(resolve));
    open[i]!();
  }
  await answers(passwords, 3, got);
  expect([got, asked]).toEqual([
    ["0", "1", "last"],
    ["0", "1", "last"],
  ]);
});
