/** Tables of docs/protocol.md against the code: names, numbers, kinds. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { parseControlMessage } from "../../src/protocol/control/message.ts";
import * as opcodes from "../../src/protocol/control/opcode.ts";
import { DIGEST_LEN } from "../../src/protocol/control/tls-auth.ts";
import { AEAD_KEY_LEN } from "../../src/protocol/data/aead-key.ts";
import { COMPRESSION, compressionForm } from "../../src/protocol/data/compression.ts";
import { SESSION_DROP_NAMES, sessionDropText, streamBreak } from "../../src/protocol/drop.ts";
import * as peerInfo from "../../src/protocol/exchange/peer-info.ts";
import { CIPHER_NAMES } from "../../src/protocol/ports.ts";
import { SERVER_TRANSITIONS } from "../../src/protocol/session/server.ts";
import { TRANSITIONS } from "../../src/protocol/session/state.ts";
import { PROTOCOL, quoted, ROOT, read, tableOf } from "./document.ts";

const DOCUMENT = read(PROTOCOL);
const source = (path: string): string => read(join(ROOT, "src/protocol", path));

test("opcodes: number and name, every one", () => {
  const rows = tableOf(DOCUMENT, "opcodes").map((row) => [quoted(row["Name"])[0], Number(row["Opcode"])]);
  const ours = Object.entries(opcodes).filter(([name, value]) => typeof value === "number" && name !== "KEY_ID_MASK");
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(ours));
});

test("IV_PROTO: bit, name, and who says it", () => {
  const rows = tableOf(DOCUMENT, "iv-proto");
  const ours = Object.entries(peerInfo).flatMap(([name, value]) => {
    const short = /^IV_PROTO_(?!P2P$)(\w+)$/.exec(name)?.[1];
    return short === undefined ? [] : [[short, Math.log2(value as number)]];
  });
  expect(Object.fromEntries(rows.map((row) => [quoted(row["Name"])[0], Number(row["Bit"])]))).toEqual(
    Object.fromEntries(ours),
  );
  const sum = (column: string): number =>
    rows.reduce((bits, row) => bits + (row[column] === "yes" ? 2 ** Number(row["Bit"]) : 0), 0);
  expect([sum("Client"), sum("Without `pull`")]).toEqual([peerInfo.IV_PROTO, peerInfo.IV_PROTO_P2P]);
});

test("digests and ciphers with the bytes of their keys", () => {
  const digests = tableOf(DOCUMENT, "digests").map((row) => [row["Digest"], Number(row["Bytes"])]);
  expect(Object.fromEntries(digests)).toEqual(DIGEST_LEN);
  const ciphers = tableOf(DOCUMENT, "ciphers").map((row) => [quoted(row["Cipher"])[0], Number(row["Key bytes"])]);
  const cbc = [...source("data/cbc-packet.ts").matchAll(/"(AES-\d+-CBC)": (\d+)/g)].map(([, name, n]) => [
    name,
    Number(n),
  ]);
  expect(Object.fromEntries(ciphers)).toEqual({ ...AEAD_KEY_LEN, ...Object.fromEntries(cbc) });
  expect(ciphers.map(([name]) => name as string)).toEqual([...CIPHER_NAMES]);
});

/** A number as the document has it: "2^36 - 1", "0xff000000", "8000 ms". */
function value(text: string): number {
  const [, expression = ""] = /^(0x[0-9a-f]+|[\d ^*+-]+)/.exec(text) ?? [];
  return evaluate(expression.replaceAll("^", "**"), {});
}

/** A constant of a file, also one that it does not export, by its text: numbers and operators, and other constants. */
function constant(file: string, name: string, seen = 0): number {
  const text = source(file);
  const [, expression] = new RegExp(`const ${name}(?:: number)? = ([^;]+);`).exec(text) ?? [];
  if (expression === undefined || seen > 4) throw new Error(`${file} has no constant ${name}`);
  const names: Record<string, number> = {};
  for (const [, other = ""] of expression.matchAll(/\b([A-Z][A-Z0-9_]+)\b/g)) {
    const imported = new RegExp(`import \\{[^}]*\\b${other}\\b[^}]*\\} from "([^"]+)"`).exec(text)?.[1];
    names[other] = constant(imported === undefined ? file : join(file, "..", imported), other, seen + 1);
  }
  return evaluate(expression, names);
}

function evaluate(expression: string, names: Readonly<Record<string, number>>): number {
  if (!/^[\w\s.()*/+-]+$/.test(expression)) throw new Error(`no number: ${expression}`);
  return Number(new Function(...Object.keys(names), `return ${expression}`)(...Object.values(names)));
}

const CONSTANTS = ["limits", "constants", "retry"].flatMap((mark) => tableOf(DOCUMENT, mark));

test.each(CONSTANTS.map((row) => [row["What"], row["Value"], row["Where"]] as const))("%s: %s", (_, text, where) => {
  const [file = "", name = ""] = quoted(where);
  expect(value(text ?? "")).toBe(constant(file, name));
});

test("control messages: each example is read as its kind, and no kind is missing", () => {
  const rows = tableOf(DOCUMENT, "messages").map(
    (row) => [quoted(row["Message"])[0] ?? "", quoted(row["Kind"])[0]] as const,
  );
  for (const [message, kind] of rows)
    expect([message, parseControlMessage(message).kind]).toEqual([message, kind] as never);
  const union = /export type ControlMessage =(.*?);\n\n/s.exec(source("control/message.ts"))?.[1] ?? "";
  const kinds = [...union.matchAll(/readonly kind: "([a-z-]+)"/g)].map(([, kind]) => kind);
  // What is no message has no row.
  expect(new Set(rows.map(([, kind]) => kind))).toEqual(new Set(kinds.filter((kind) => kind !== "malformed")));
});

test("states of a client and of a server's session, and where each may lead", () => {
  const states = (mark: string): unknown =>
    Object.fromEntries(tableOf(DOCUMENT, mark).map((row) => [quoted(row["State"])[0], quoted(row["May go to"])]));
  expect(states("client-states")).toEqual(TRANSITIONS as never);
  expect(states("server-states")).toEqual(SERVER_TRANSITIONS as never);
});

describe("pushed options", () => {
  const cases = (text: string): string[] =>
    [...text.matchAll(/^ {4}case "([a-z0-9-]+)":/gm)].map(([, name = ""]) => name);
  const first = (mark: string): string[] =>
    tableOf(DOCUMENT, mark).map((row) => (quoted(row["Option"])[0] ?? "").split(" ")[0] as string);
  const list = (file: string, name: string): string[] => {
    const [, text = ""] =
      new RegExp(`const ${name}: ReadonlySet<string> = new Set\\((.*?)\\);\n`, "s").exec(source(file)) ?? [];
    return [...text.matchAll(/"([a-z0-9-]+)"/g)].map(([, word = ""]) => word);
  };

  test("of the session", () => {
    expect(first("session-options").sort()).toEqual(cases(source("push/session-options.ts")).sort());
  });

  test("of the tunnel", () => {
    const take = / take\(words: .*?\n {2}\}\n/s.exec(source("push/tunnel-options.ts"))?.[0] ?? "";
    expect(first("tunnel-options").sort()).toEqual(
      [...take.matchAll(/^ {6}case "([a-z0-9-]+)":/gm)].map(([, name]) => name as string).sort(),
    );
  });

  test("known without a meaning", () => {
    const others = quoted(tableOf(DOCUMENT, "other-options")[0]?.["Option"]);
    const session = new Set(first("session-options"));
    expect(others.sort()).toEqual(
      list("push/tunnel-options.ts", "KNOWN_ELSEWHERE")
        .filter((name) => !session.has(name))
        .sort(),
    );
  });

  test("that PUSH_UPDATE changes", () => {
    expect(quoted(tableOf(DOCUMENT, "updatable")[0]?.["Option"])).toEqual(list("push/update.ts", "UPDATABLE").sort());
  });
});

test("forms of compression with their framing", () => {
  const rows = tableOf(DOCUMENT, "compression").flatMap((row) =>
    quoted(row["Form"]).map((line) => [line, row["Framing"]] as const),
  );
  const forms = new Set<string>(["none"]);
  for (const [line, framing] of rows) {
    const [directive, word] = line.split(" ");
    const form = compressionForm(directive as "compress", word);
    expect([line, form === undefined ? undefined : COMPRESSION[form].framing]).toEqual([line, framing] as never);
    if (form !== undefined) forms.add(form);
  }
  expect([...forms].sort()).toEqual(Object.keys(COMPRESSION).sort());
});

test("drops, their sentences, and which end a stream", () => {
  const rows = tableOf(DOCUMENT, "drops").map((row) => Object.values(row));
  const ours = SESSION_DROP_NAMES.map((name, i) => [
    `\`${name}\``,
    streamBreak(true, ~i) === undefined ? "" : "yes",
    sessionDropText(name),
  ]);
  expect(rows).toEqual(ours);
});
