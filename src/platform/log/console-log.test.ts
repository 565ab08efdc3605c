import { expect, test } from "bun:test";
import fc from "fast-check";
import type { LogRecord } from "../../lib/log.ts";
import { ConsoleLog, type LogFormat } from "./console-log.ts";

function recorder(format: LogFormat, level: "error" | "info" | "debug" = "info") {
  const lines: string[] = [];
  const log = new ConsoleLog({ level, format, write: (line) => lines.push(line), clock: () => Date.UTC(2026, 0, 1) });
  return { log, lines };
}

test("text: time, level, event, fields, message; a value with blanks or quotes is quoted", () => {
  const { log, lines } = recorder("text");
  log.write("info", "tunnel.up", "the tunnel is up", {
    address: "10.8.0.2",
    mtu: 1500,
    none: undefined,
    why: 'a "b" c',
    empty: "",
  });
  log.write("warn", "tunnel.down", "");
  expect(lines).toEqual([
    '2026-01-01T00:00:00.000Z info tunnel.up address=10.8.0.2 mtu=1500 why="a \\"b\\" c" empty="" the tunnel is up\n',
    "2026-01-01T00:00:00.000Z warn tunnel.down\n",
  ]);
});

test("json: one object a line, which parses back; the record's own names win", () => {
  const { log, lines } = recorder("json");
  log.write("error", "tunnel.down", "gone", { reason: "ping\u001b[2J\u0085\u202e", event: "forged" });
  expect(JSON.parse(lines[0]!)).toEqual({
    time: "2026-01-01T00:00:00.000Z",
    level: "error",
    event: "tunnel.down",
    reason: "ping\u001b[2J\u0085\u202e",
    message: "gone",
  });
});

test("levels: what is below is not written, and the level can change", () => {
  const { log, lines } = recorder("text", "error");
  log.write("warn", "a.b", "no");
  expect(log.enabled("warn")).toBe(false);
  log.setLevel("debug");
  log.write("debug", "a.b", "yes");
  expect(lines).toHaveLength(1);
});

test("control characters from outside are escaped in both formats, wherever they stand", () => {
  const { log, lines } = recorder("text");
  log.write("info", "x.y", "line\r\n2026 forged\u001b[31m\u009b", { user: "a\nb", odd: "\u202e\ud800" });
  expect(lines[0]).toBe(
    '2026-01-01T00:00:00.000Z info x.y user="a\\nb" odd=\\u202e\\ud800 line\\r\\n2026 forged\\x1b[31m\\x9b\n',
  );
  for (const format of ["text", "json"] as const) {
    const all = recorder(format);
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        all.lines.length = 0;
        all.log.write("info", "x.y", text, { [text]: text });
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
        expect(all.lines[0]).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/);
        expect(all.lines[0]!.indexOf("\n")).toBe(all.lines[0]!.length - 1);
      }),
    );
  }
});

test("a text without measure is cut with its number, so that the line still finds room in the queue behind", () => {
  for (const format of ["text", "json"] as const) {
    const { log, lines } = recorder(format);
    const long = "\u202e".repeat(1_000_000);
    log.write("info", "tunnel.up", long, {
      dns: long,
      mtu: 1500,
      a: long,
      b: long,
      c: long,
      d: long,
      e: long,
      f: long,
    });
    expect(lines[0]).toContain("[... 995904 characters more]");
    expect(lines[0]).toContain("[... 998976 characters more]");
    expect(lines[0]).toMatch(/mtu"?[=:]1500/);
    expect(new TextEncoder().encode(lines[0]).length).toBeLessThan(64 * 1024);
    log.write("info", "tunnel.up", "x".repeat(4096), { dns: "y".repeat(1024) });
    expect(lines[1]).toContain(`${"y".repeat(1024)}${format === "text" ? " " : '"'}`);
    expect(lines[1]).not.toContain("characters more");
  }
});

test("whoever is told of records gets those that are written, with their time, their texts cut and nothing escaped", () => {
  const records: LogRecord[] = [];
  const lines: string[] = [];
  const log = new ConsoleLog({
    ...{ level: "info", format: "text", clock: () => 17, onRecord: (record) => records.push(record) },
    write: (line) => lines.push(line),
  });
  log.write("debug", "a.b", "not written");
  log.write("warn", "x.y", "a\nb", { long: "z".repeat(5000), n: 5, none: undefined });
  expect(records).toEqual([
    {
      ...{ unixMs: 17, level: "warn", event: "x.y", message: "a\nb" },
      fields: { long: `${"z".repeat(1024)}[... 3976 characters more]`, n: 5, none: undefined },
    },
  ]);
  expect(lines).toHaveLength(1);
});
