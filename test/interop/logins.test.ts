/** Logins that ask for more than user and password, against the real server, whose scripts ask. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHmac } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PATIENCE, until } from "../support/world/process.ts";
import { AUTH } from "../support/world/profile.ts";
import { World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(180_000);

const SECRET = "12345678901234567890";
const SECRET_BASE32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/** RFC 6238, with node:crypto. */
function code(unixSeconds: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(unixSeconds / 30)));
  const mac = createHmac("sha1", SECRET).update(counter).digest();
  const at = (mac.at(-1) as number) & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

describe.skipIf(NO_WORLD || REFERENCE)("a login that asks for more", () => {
  let world: World;
  let subject: Subject;

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
  });
  beforeEach(async () => void (await subject.halt()));
  afterAll(() => world?.close());

  const seen = (): string => join(world.dir, "seen");

  /** A server that decides logins by a script, which finds user and password in the file $1. */
  async function serverWith(script: readonly string[], lines: readonly string[] = []) {
    const check = join(world.dir, "ask");
    writeFileSync(seen(), "");
    const head = ["#!/bin/sh", `cat "$1" >> ${seen()}`, 'password=$(sed -n 2p "$1")'];
    writeFileSync(check, [...head, ...script, ""].join("\n"), { mode: 0o755 });
    const verify = ["script-security 2", `auth-user-pass-verify ${check} via-file`, `tmp-dir ${world.dir}`];
    return world.server({ password: false, lines: [...verify, ...lines] });
  }

  const boot = (answer: string, lines: readonly string[] = []) =>
    subject.bootUp(world.config({ profile: world.profile({ lines }), auth: `${AUTH}${answer}\n` }));

  test("static-challenge: the code of the moment goes with the password", async () => {
    await serverWith(["exit 0"]);
    const before = Date.now() / 1000;
    await boot(`otpauth://totp/x?secret=${SECRET_BASE32}`, ['static-challenge "Code?" 1']);
    const [, password, answer] = readFileSync(seen(), "utf8").split("\n")[1]!.split(":");
    expect(Buffer.from(password!, "base64").toString()).toBe(AUTH.split("\n")[1]!);
    const codes = [before, before + 30, Date.now() / 1000].map(code);
    expect(codes).toContain(Buffer.from(answer!, "base64").toString());
  });

  test("CRV1: the question comes with the refusal, the answer with the next login", async () => {
    await serverWith([
      '[ "$password" = "CRV1::st8te::4711" ] && exit 0',
      'printf "CRV1:R,E:st8te:YW5u:Your code?" > "$auth_failed_reason_file"',
      "exit 1",
    ]);
    await boot("4711");
    expect(subject.log()).toMatch(/Your code\?.*logging in with the answer/);
  });

  test("CR_TEXT: the question comes while the login waits", async () => {
    const answered = join(world.dir, "answered");
    const respond = join(world.dir, "respond");
    writeFileSync(respond, `#!/bin/sh\ncp "$1" ${answered}\nprintf 1 > "$(cat ${answered}.control)"\n`, {
      mode: 0o755,
    });
    await serverWith(
      [
        `printf %s "$auth_control_file" > ${answered}.control`,
        'printf "30\\ncrtext\\nCR_TEXT:R,E:PIN?\\n" > "$auth_pending_file"',
        "exit 2",
      ],
      [`client-crresponse ${respond}`],
    );
    await boot("4711");
    expect(readFileSync(answered, "utf8").trim()).toBe(Buffer.from("4711").toString("base64"));
    expect(subject.log()).toMatch(/auth\.pending.*seconds=30/);
  });

  test("WEB_AUTH: the log says the address, and the tunnel comes up when somebody was there", async () => {
    const url = "https://login.example/start?session=a:b";
    const control = join(world.dir, "control");
    await serverWith([
      `printf "60\\nwebauth\\nWEB_AUTH::${url}\\n" > "$auth_pending_file"`,
      `printf %s "$auth_control_file" > ${control}`,
      "exit 2",
    ]);
    await subject.boot();
    await subject.says(/auth\.url.*https:\/\/login\.example\/start\?session=a:b/);
    expect(await until(() => existsSync(control), PATIENCE)).toBeDefined();
    writeFileSync(readFileSync(control, "utf8"), "1");
    await subject.up();
  });
});
