import { expect, test } from "bun:test";
import { CLIENTS } from "../../../test/support/status-report.ts";
import { type Command, parseCommand } from "./commands.ts";

const parse = (values: Record<string, string>): Command | string =>
  parseCommand(new Map(Object.entries(values)), CLIENTS);

test("kill is of a name or a number; what another has now is not taken for the one that was meant", () => {
  const kill = { kind: "kill", message: "RESTART" };
  expect(parse({ command: "kill", client: "bob" })).toEqual({ ...kill, who: "bob" } as Command);
  expect(parse({ command: "kill", id: "3" })).toEqual({ ...kill, who: 3 } as Command);
  expect(parse({ command: "kill", id: "3", client: "ann", halt: "yes" })).toMatchObject({ who: 3, message: "HALT" });
  expect(parse({ command: "kill", who: "3 ann" })).toMatchObject({ who: 3 });
  for (const values of [{ id: "4" }, { id: "3", client: "bob" }, { who: "3 bob" }])
    expect(parse({ command: "kill", ...values })).toBe("that client is not there any more");
  for (const values of [{}, { who: "" }]) expect(parse({ command: "kill", ...values })).toStartWith("which client?");
  expect(parse({ command: "kill", id: "-1" })).toBe("id is no number");
});

test("push-update is of options that can be changed while a tunnel is up, a line each", () => {
  expect(
    parse({ command: "push-update", options: "route 10.9.0.0 255.255.0.0\r\n\n  -dns  \n", client: "ann" }),
  ).toEqual({
    ...{ kind: "push-update", who: "ann" },
    options: ["route 10.9.0.0 255.255.0.0", "-dns"],
  });
  expect(parse({ command: "push-update", options: "?dns search-domains a" })).toMatchObject({ who: undefined });
  for (const [options, why] of [
    ["", "no options"],
    ["cipher none", "cannot be changed while a tunnel is up"],
    ["auth-token x", "cannot be changed while a tunnel is up"],
    ["-", "cannot be changed"],
    ["route 10.9.0.0,ifconfig 10.8.0.9", "a comma or a control character"],
    ["route 10.9.0.0\u0000", "a comma or a control character"],
    ["ifconfig 10.8.0.9 255.255.255.0", "ifconfig: cannot be pushed by itself"],
    ["-ifconfig-ipv6", "ifconfig-ipv6: cannot be pushed by itself"],
    ["keepalive 1 2", "keepalive: cannot be pushed by itself"],
    ["dns x\n".repeat(65), "more than 64 options"],
  ] as const)
    expect(parse({ command: "push-update", options })).toContain(why);
});

test("a slip is nobody's command: not everybody's, and not another one", () => {
  const push = { command: "push-update", options: "route 10.9.0.0 255.255.0.0" };
  expect(parse({ ...push, client: "" })).toBe("client is empty; leave it out for everybody");
  expect(parse({ ...push, id: "" })).toBe("id is no number");
  for (const who of ["ann", "3", "x ann", " "])
    expect(parse({ ...push, who })).toBe("who is none of the page's choices");
  expect(parse({ ...push, who: "" })).toMatchObject({ who: undefined });
  expect(parse({ ...push, Client: "ann" })).toBe("Client: there is no such value");
  expect(parse({ ...push, "\u001b[2J": "ann" })).toBe("?[2J: there is no such value");
  for (const halt of ["no", "0", ""]) expect(parse({ command: "kill", client: "bob", halt })).toBe("halt is not yes");
});

test("anything else is no command", () => {
  for (const command of ["", "KILL", "reload"])
    expect(parse({ command })).toBe("command is neither kill nor push-update");
});
