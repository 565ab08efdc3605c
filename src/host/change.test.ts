import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { takeBack } from "./change.ts";

test("what cannot be taken back is told in words: a program that is not there, one that fails, a folder in the place of a file", () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-change-"));
  const path = join(folder, "resolv.conf");
  const command = (...undo: string[]) => takeBack({ kind: "command", undo, device: undefined });
  try {
    expect(command("morgana-test-no-such-program", "-d")).toContain("morgana-test-no-such-program -d: ");
    expect(command("false")).toBe("false has failed");
    expect(command("true")).toBeUndefined();
    mkdirSync(path);
    expect(takeBack({ kind: "file", path, before: { kind: "absent" }, digest: "" })).toContain(path);
    rmSync(path, { recursive: true });
    expect(takeBack({ kind: "file", path: `${folder}/none/x`, before: { kind: "absent" }, digest: "" })).toContain(
      folder,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
