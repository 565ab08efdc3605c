import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readSyslog } from "../../../test/support/syslog-message.ts";
import { LOG_LEVELS, type LogRecord } from "../../lib/log.ts";
import { escapeControls, recordText } from "../../platform/log/record-text.ts";
import { syslogMessage } from "./format.ts";

const RECORD: LogRecord = {
  unixMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
  level: "info",
  event: "tunnel.up",
  message: "the tunnel is up",
  fields: { address: "10.8.0.2", mtu: 1500, none: undefined },
};
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (record: Partial<LogRecord>, most = 2048): string =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(syslogMessage({ ...RECORD, ...record }, "gw", most));

describe("the reader of these tests takes the examples of RFC 5424 6.5", () => {
  test("with MSG in UTF-8 and no STRUCTURED-DATA", () => {
    const one = "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \ufeff'su root' failed on /dev/pts/8";
    expect(readSyslog(bytes(one))).toEqual({
      ...{ facility: 4, severity: 2, time: "2003-10-11T22:14:15.003Z", hostname: "mymachine.example.com" },
      ...{ appName: "su", procId: undefined, msgId: "ID47", elements: [] },
      ...{ text: "'su root' failed on /dev/pts/8", hasBom: true },
    });
    const two = "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.";
    expect(readSyslog(bytes(two))).toMatchObject({
      ...{ facility: 20, severity: 5, time: "2003-08-24T05:14:15.000003-07:00", hostname: "192.0.2.1" },
      ...{
        appName: "myproc",
        procId: "8710",
        msgId: undefined,
        text: "%% It's time to make the do-nuts.",
        hasBom: false,
      },
    });
  });

  test("with STRUCTURED-DATA, and with that alone", () => {
    const sd = '[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"]';
    const head = "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 ";
    const element = {
      id: "exampleSDID@32473",
      params: [
        ["iut", "3"],
        ["eventSource", "Application"],
        ["eventID", "1011"],
      ],
    };
    expect(readSyslog(bytes(`${head}${sd} \ufeffAn application event log entry...`))).toMatchObject({
      elements: [element],
      text: "An application event log entry...",
    });
    expect(readSyslog(bytes(`${head}${sd}[examplePriority@32473 class="high"]`))).toMatchObject({
      elements: [element, { id: "examplePriority@32473", params: [["class", "high"]] }],
      text: undefined,
    });
    // 6.3.5, and what is no element.
    for (const bad of ['[ a@1 x="1"]', '[a@1 x="]"]', "[a@1 x=1]", "[]"])
      expect(() => readSyslog(bytes(`${head}${bad} m`))).toThrow();
  });
});

test("a record is header, its fields and the console's text (RFC 5424 6)", () => {
  expect(text({})).toBe(
    '<30>1 2026-01-02T03:04:05.006Z gw morgana - tunnel.up [morgana@32473 address="10.8.0.2" mtu="1500"] ' +
      "tunnel.up address=10.8.0.2 mtu=1500 the tunnel is up",
  );
  expect(text({ fields: {}, message: "", level: "error" })).toBe(
    "<27>1 2026-01-02T03:04:05.006Z gw morgana - tunnel.up - tunnel.up",
  );
  expect(LOG_LEVELS.map((level) => readSyslog(bytes(text({ level }))).severity)).toEqual([3, 4, 6, 7]);
});

test("a quote, a backslash and a bracket in a value are escaped (6.3.3), a control character as on the console", () => {
  const line = text({ fields: { why: 'a "b" \\ ]\n\u202e' }, message: "" });
  expect(line).toContain('[morgana@32473 why="a \\"b\\" \\\\ \\]\\\\n\\\\u202e"]');
  expect(line).not.toMatch(/[\n\u202e]/);
});

test("the text has a BOM exactly where it is more than ASCII (6.4)", () => {
  expect(text({ message: "Grüße" })).toContain("] \ufefftunnel.up");
  expect(text({ message: "greetings" })).not.toContain("\ufeff");
  expect(text({ message: "\ufeff" })).not.toContain("\ufeff"); // somebody else's, escaped
});

test("names keep the bounds of the grammar", () => {
  const long = readSyslog(
    bytes(text({ event: `a b${"c".repeat(40)}`, fields: { 'x="]y z': 1, "": 2, ["n".repeat(40)]: 3 } })),
  );
  expect(long.msgId).toBe(`a?b${"c".repeat(29)}`);
  expect(long.elements[0]?.params.map(([name]) => name)).toEqual(["x___y_z", "_", "n".repeat(32)]);
  expect(readSyslog(bytes(text({ event: "" }))).msgId).toBeUndefined();
});

test("what is too long is cut, and says so: fields are left out and counted, the text ends in [...]", () => {
  const fields = { a: "x".repeat(400), b: "y".repeat(900), c: "z" };
  const line = readSyslog(bytes(text({ fields, message: "m".repeat(4000) })));
  expect(line.elements[0]?.params).toEqual([
    ["a", fields.a],
    ["c", "z"],
    ["missing", "1"],
  ]);
  expect(line.text).toMatch(/ c=z m+\[\.\.\.\]$/);
  expect(bytes(text({ fields, message: "m".repeat(4000) })).length).toBe(2048);
  expect(readSyslog(bytes(text({ fields, message: "end" }, 8192))).text).toEndWith(" end");
});

test("whatever is in a record, the message parses back to it", () => {
  const value = fc.oneof(fc.string({ unit: "binary" }), fc.integer(), fc.boolean(), fc.constant(undefined));
  const record = fc.record({
    unixMs: fc.integer({ min: 0, max: 4e12 }),
    level: fc.constantFrom(...LOG_LEVELS),
    event: fc.stringMatching(/^[a-z][a-z0-9.-]{0,31}$/),
    message: fc.string({ unit: "binary" }),
    fields: fc.dictionary(fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9.-]{0,31}$/), value),
  });
  fc.assert(
    fc.property(record, (r) => {
      const read = readSyslog(syslogMessage(r, "gw", 8192));
      expect(read).toMatchObject({ facility: 3, hostname: "gw", appName: "morgana", msgId: r.event });
      expect(Date.parse(read.time!)).toBe(r.unixMs);
      const given = Object.entries(r.fields).filter(([, v]) => v !== undefined);
      expect(read.elements.flatMap(({ params }) => params)).toEqual(
        given.map(([name, v]) => [name, escapeControls(String(v))]),
      );
      expect(read.text).toBe(recordText(r.event, r.message, r.fields));
    }),
  );
});

test("and whatever its size, the message is well formed and no longer than it may be", () => {
  const unit = fc.constantFrom("a", '"', "]", "\\", "\n", "é", "\u{1f600}", "\ud800");
  const long = fc.string({ unit, maxLength: 900 });
  fc.assert(
    fc.property(
      long,
      fc.dictionary(long, long, { maxKeys: 20 }),
      fc.integer({ min: 480, max: 9000 }),
      (m, fields, most) => {
        const message = syslogMessage({ ...RECORD, event: m.slice(0, 50), message: m, fields }, "gw", most);
        expect(message.length).toBeLessThanOrEqual(most);
        const params = readSyslog(message).elements[0]?.params ?? [];
        const missing = params.find(([name, v]) => name === "missing" && /^\d+$/.test(v));
        const told = missing === undefined ? params.length : params.length - 1 + Number(missing[1]);
        expect(told).toBe(Object.keys(fields).length);
      },
    ),
  );
});
