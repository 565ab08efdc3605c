import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Questions } from "../platform/sys/terminal.ts";
import type { ClientConfig } from "../protocol/config/types.ts";
import { loadHostProfile, type Typed } from "./profile.ts";
import { loadAsking } from "./questions.ts";

const CONFIGS = join(import.meta.dir, "../../test/configs");
const START = "client\ndev tun\nremote 192.0.2.1\nremote-cert-tls server\nca ca.crt\n";
const OWN = "cert client.crt\nkey client.key\n";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "morgana-host-"));
  for (const name of ["ca.crt", "client.crt", "client.key", "client-locked.key"])
    cpSync(join(CONFIGS, name), join(folder, name));
  for (const name of ["client.key", "client-locked.key"]) chmodSync(join(folder, name), 0o600);
});
afterEach(() => rmSync(folder, { recursive: true }));

function profile(lines: string): string {
  const file = join(folder, "a.ovpn");
  writeFileSync(file, START + lines);
  return file;
}

/** Somebody who answers in this order, and then gives up. */
function person(...answers: string[]) {
  const asked: string[] = [];
  let closed = 0;
  const questions: Questions = {
    ask: async (question, isShown = false) => {
      asked.push(`${question}${isShown ? "(shown)" : ""}`);
      return answers.shift();
    },
    close: () => void closed++,
  };
  return { asked, open: () => questions, closed: () => closed };
}

test("a login without a file is asked for, and the password is not shown", async () => {
  const { asked, open, closed } = person("ann", "correct horse");
  const loaded = await loadAsking(profile(`${OWN}auth-user-pass\n`), {}, open);
  expect(loaded).toMatchObject({ ok: true, config: { login: { user: "ann", password: "correct horse" } } });
  expect([asked, closed()]).toEqual([["User: (shown)", "Password: "], 1]);
});

test("auth-nocache: that a login stays in memory is told of one that was typed, and of no file", async () => {
  const file = profile(`${OWN}auth-user-pass\nauth-nocache\n`);
  const told = (loaded: Awaited<ReturnType<typeof loadAsking>>): string[] =>
    (loaded as { readonly warnings: readonly { readonly directive: string; readonly problem: string }[] }).warnings
      .filter(({ directive }) => directive === "auth-nocache")
      .map(({ problem }) => problem);
  expect(told(await loadAsking(file, {}, person("ann", "pw").open))).toEqual([
    expect.stringContaining("what was typed stays in memory"),
  ]);
  writeFileSync(join(folder, "auth.txt"), "ann\npw\n", { mode: 0o600 });
  expect(told(await loadAsking(file, {}, undefined))).toEqual([]);
  rmSync(join(folder, "auth.txt"));
});

test("the answer to a static challenge and the pass phrase of a key are asked for", async () => {
  const lines = 'cert client.crt\nkey client-locked.key\nauth-user-pass\nstatic-challenge "Your code:" 1\n';
  const { asked, open } = person("ann", "pw", "mistyped", "test only", "123456");
  const typed: Typed = {};
  const loaded = await loadAsking(profile(lines), typed, open);
  expect(asked).toEqual([
    "User: (shown)",
    "Password: ",
    "Pass phrase of the key: ",
    "Pass phrase of the key: ",
    "Your code: ",
  ]);
  expect(loaded).toMatchObject({ ok: true, config: { login: { answer: { row: "123456" } } } });
  // What was typed serves again.
  const again = loadHostProfile(profile(lines), typed) as { readonly config: ClientConfig };
  expect(again.config.login?.password).toBe("pw");
});

test("without anybody there, or with one who gives up, the problem stands", async () => {
  const file = profile(`${OWN}auth-user-pass\n`);
  const { open, closed } = person("ann");
  for (const how of [undefined, open])
    expect(await loadAsking(file, {}, how)).toMatchObject({ ok: false, problems: [{ directive: "auth-user-pass" }] });
  expect(closed()).toBe(1);
});

test("with another problem nothing is asked", async () => {
  const { asked, open } = person("ann", "pw");
  await loadAsking(profile(`${OWN}auth-user-pass\nnonsense\n`), {}, open);
  expect(asked).toEqual([]);
});

test("a file that others may read and that holds a secret is warned about; a certificate is none", async () => {
  chmodSync(join(folder, "client.key"), 0o644);
  writeFileSync(join(folder, "auth.txt"), "ann\npw\n", { mode: 0o640 });
  chmodSync(join(folder, "auth.txt"), 0o640);
  const loaded = await loadAsking(profile(`${OWN}auth-user-pass\n`), {}, undefined);
  if (typeof loaded === "string") throw new Error(loaded);
  const warned = loaded.warnings.filter(({ directive }) => directive === "permissions").map(({ problem }) => problem);
  expect(warned.sort()).toEqual([
    `others may read auth.txt, which holds a secret (mode 640); chmod 600 ${join(folder, "auth.txt")}`,
    `others may read client.key, which holds a secret (mode 644); chmod 600 ${join(folder, "client.key")}`,
  ]);
});

test("an absolute path leads to where it says", async () => {
  const file = profile(OWN.replace("client.key", join(CONFIGS, "client.key")));
  rmSync(join(folder, "client.key"));
  expect(loadHostProfile(file)).toMatchObject({ ok: true });
});
