import { expect, test } from "bun:test";
import { findBeside } from "./beside.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Which of these files serves a name, and what was looked for. */
function found(name: string, files: readonly string[]): { name: string | undefined; asked: string[] } {
  const asked: string[] = [];
  const file = findBeside((candidate) => {
    asked.push(candidate);
    return files.includes(candidate) ? bytes(candidate) : undefined;
  }, name);
  return { name: file?.name, asked };
}

test("of an absolute path the longest tail counts that lies beside the profile", () => {
  const path = "/etc/openvpn/acme/ca.crt";
  const tails = ["etc/openvpn/acme/ca.crt", "openvpn/acme/ca.crt", "acme/ca.crt", "ca.crt"];
  expect(found(path, [])).toEqual({ name: undefined, asked: tails });
  for (const [i, tail] of tails.entries()) expect(found(path, tails.slice(i)).name).toBe(tail);
});

test("paths of Windows are paths too, absolute or not", () => {
  expect(found("C:\\Program Files\\OpenVPN\\config\\ca.crt", ["config/ca.crt", "ca.crt"]).name).toBe("config/ca.crt");
  expect(found("c:/vpn/ca.crt", ["ca.crt"]).name).toBe("ca.crt");
  expect(found("\\\\server\\share\\ca.crt", ["share/ca.crt"]).name).toBe("share/ca.crt");
  expect(found("keys\\ca.crt", ["keys/ca.crt"]).name).toBe("keys/ca.crt");
  expect(found("keys\\ca.crt", ["keys\\ca.crt", "keys/ca.crt"]).name).toBe("keys\\ca.crt");
});

test("no tail leads upwards, and a relative name is taken as it stands", () => {
  expect(found("/etc/openvpn/../../../ca.crt", []).asked).toEqual(["ca.crt"]);
  expect(found("/../a/./b", []).asked).toEqual(["a/b", "b"]);
  expect(found("/", []).asked).toEqual([]);
  expect(found("../ca.crt", ["ca.crt"])).toEqual({ name: undefined, asked: ["../ca.crt"] });
  expect(found("keys/ca.crt", ["ca.crt"]).asked).toEqual(["keys/ca.crt"]);
});

test("a tail that is there and cannot be read is the one: what lies deeper is not taken in its place", () => {
  const file = findBeside((name) => (name === "acme/ca.crt" ? "is a FIFO" : undefined), "/etc/acme/ca.crt");
  expect(file).toEqual({ name: "acme/ca.crt", content: "is a FIFO" });
});
