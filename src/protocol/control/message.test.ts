import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type ControlMessage,
  ControlMessages,
  MAX_CONTROL_MESSAGE,
  parseControlMessage,
  parseTemporary,
  splitOptions,
} from "./message.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test("the control strings of test_pkt.c, however they are cut", () => {
  const stream = bytes("valid control message\r\n\0\0Invalid\r\none\0valid one again\0not ended");
  const expected: ControlMessage[] = [
    { kind: "unknown", text: "valid control message" },
    { kind: "malformed", problem: "control-characters" },
    { kind: "unknown", text: "valid one again" },
  ];
  expect(new ControlMessages().feed(stream)).toEqual(expected);
  for (let cut = 1; cut < stream.length; cut++) {
    const messages = new ControlMessages();
    expect([...messages.feed(stream.slice(0, cut)), ...messages.feed(stream.slice(cut))]).toEqual(expected);
  }
});

test("an overlong message is passed over, the next one is read", () => {
  const messages = new ControlMessages();
  const long = new Uint8Array(MAX_CONTROL_MESSAGE + 1).fill(0x41);
  expect(messages.feed(long)).toEqual([{ kind: "malformed", problem: "too-long" }]);
  expect(messages.feed(bytes("AAA\0EXIT\0"))).toEqual([{ kind: "exit" }]);
});

test("AUTH_FAILED,TEMP flags (test_misc.c)", () => {
  const none = { backoff: undefined, advance: undefined };
  expect(parseTemporary(":text [really not]")).toMatchObject(none);
  expect(parseTemporary("[backoff 42,advance no]")).toMatchObject({ backoff: 42, advance: "no" });
  expect(parseTemporary("[advance remote,backoff 77]:go round and round")).toEqual({
    backoff: 77,
    advance: "remote",
    message: "go round and round",
  });
  expect(parseTemporary("[backoff -1,advance up]")).toMatchObject(none);
});

describe("meanings", () => {
  const failed = { kind: "auth-failed", reason: "", temporary: undefined, challenge: undefined };
  const cases: [string, object][] = [
    ["AUTH_FAILED", failed],
    ["AUTH_FAILED,wrong, sorry", { ...failed, reason: "wrong, sorry" }],
    ["AUTH_FAILED,SESSION:Session expired", { ...failed, reason: "Session expired" }],
    [
      "AUTH_FAILED,TEMP[backoff 3]:later",
      { ...failed, reason: "later", temporary: { backoff: 3, advance: undefined } },
    ],
    [
      "AUTH_FAILED,CRV1:R,E:state:dXNlcg==:Your code?",
      {
        ...failed,
        reason: "Your code?",
        challenge: { needsAnswer: true, state: "state", user: "user", text: "Your code?" },
      },
    ],
    ["PUSH_REPLY", { kind: "push-reply", options: [], continuation: 0 }],
    [
      "PUSH_REPLY,route 10.0.0.0 255.0.0.0,,ping 5,push-continuation 2",
      { kind: "push-reply", options: ["route 10.0.0.0 255.0.0.0", "ping 5"], continuation: 2 },
    ],
    ["PUSH_REPLYX,ping 5", { kind: "unknown", text: "PUSH_REPLYX,ping 5" }],
    ["PUSH_UPDATE,-route, tun-mtu 1400", { kind: "push-update", options: ["-route", "tun-mtu 1400"], continuation: 0 }],
    ["RESTART", { kind: "restart", message: "", nextRemote: false }],
    ["RESTART,[N]soon", { kind: "restart", message: "soon", nextRemote: true }],
    ["RESTART,[P]soon", { kind: "restart", message: "soon", nextRemote: false }],
    ["HALT,bye", { kind: "halt", message: "bye", nextRemote: false }],
    ["HALT,[PN]bye", { kind: "halt", message: "bye", nextRemote: true }],
    ["INFO,x", { kind: "info", text: "x" }],
    ["INFO_PRE,x", { kind: "info-pre", text: "x" }],
    ["INFO_PRE,OPEN_URL:https://a/b:c", { kind: "open-url", url: "https://a/b:c" }],
    ["INFO_PRE,WEB_AUTH:proxy=1,hidden:https://a/b:c", { kind: "open-url", url: "https://a/b:c" }],
    ["INFO_PRE,WEB_AUTH::https://a", { kind: "open-url", url: "https://a" }],
    ["INFO_PRE,WEB_AUTH", { kind: "info-pre", text: "WEB_AUTH" }],
    ["INFO_PRE,CR_TEXT:R,E:PIN: now", { kind: "challenge-text", text: "PIN: now", needsAnswer: true }],
    ["INFO_PRE,CR_TEXT:E:Hello", { kind: "challenge-text", text: "Hello", needsAnswer: false }],
    ["AUTH_PENDING,timeout 60", { kind: "auth-pending", seconds: 60 }],
    ["AUTH_PENDING", { kind: "auth-pending", seconds: undefined }],
    ["EXIT", { kind: "exit" }],
  ];
  test.each(cases)("%s", (text, expected) => {
    expect(parseControlMessage(text)).toEqual(expected as ControlMessage);
  });
});

test("what a person is told of a text has an end", () => {
  const long = "x".repeat(16_000);
  for (const start of [
    "RESTART,",
    "HALT,",
    "INFO,",
    "INFO_PRE,",
    "AUTH_FAILED,",
    "AUTH_FAILED,TEMP:",
    "AUTH_FAILED,SESSION:",
  ]) {
    const { text, message, reason } = parseControlMessage(start + long) as Record<string, unknown>;
    expect([start, text ?? message ?? reason]).toEqual([start, `${"x".repeat(1024)}...`]);
  }
});

test("a backslash keeps a comma in an option", () => {
  expect(splitOptions("a\\,b, c,,d")).toEqual(["a\\,b", "c", "d"]);
});

test("any bytes in any pieces never throw", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 })), (pieces) => {
      const messages = new ControlMessages();
      for (const piece of pieces) messages.feed(piece);
    }),
  );
});
