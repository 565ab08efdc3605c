/** The status page: who sees it, who gives commands, and what keeps it in bounds. */
import { mutationsOf } from "../mutation.ts";

export const STATUS = [
  ...mutationsOf(
    "netstack/http/request.ts",
    ["if (lineLength > MOST_LINE) return 414;", "", "the bound on a request line that does not end"],
    ["if (line.length > MOST_LINE) return 414;", "", "the bound on a request line"],
    [
      "> MOST_LINE + MOST_HEAD ? 431 : undefined",
      "> MOST_LINE + MOST_HEAD ? undefined : undefined",
      "the bound on fields that do not end",
    ],
    ["end - start - line.length > MOST_HEAD ||", "", "the bound on the size of all fields"],
    ["|| rows.length > MOST_FIELDS", "", "the bound on the number of fields"],
    ["length > MOST_CONTENT ? { refusal: 413 } : length", "length", "the bound on a request's content"],
    ['if (before !== undefined && name === "host") return undefined;', "", "that a request has one host"],
    [
      'if (fields.has("transfer-encoding")) return { refusal: 411 };',
      "",
      "that a transfer coding is not read as a length",
    ],
    ["|| !VALUE.test(value)", "", "that no bare CR, LF or NUL stands in a field"],
    ['if (!isOld && !fields.has("host")) return 400;', "", "that a request of HTTP/1.1 names its host"],
    ["if (authority !== undefined && host === undefined) return 400;", "", "that a host is one"],
  ),
  ...mutationsOf(
    "netstack/http/server.ts",
    ["if (own.length >= MOST_OF_HOST) return", "if (false as boolean) return", "the bound on a host's connections"],
    ["if (this.#exchanges.size < MOST_CONNECTIONS) return true;", "return true;", "the bound on all connections"],
    [".sort((a, b) => b.length - a.length)", "", "that of too many connections the host that has most loses one"],
    [
      'exchanges.find(({ state }) => state === "reading" || state === "lingering")',
      "exchanges[0]",
      "that nobody who waits for an answer gives way",
    ],
    ["if (exchange.ignored > MOST_IGNORED)", "if (false as boolean)", "the bound on what comes behind a request"],
    [
      "if (this.#limit.take(now, from.w3)) {",
      "if (this.#limit.take(now, from.w3) || true) {",
      "the bound on answers a second",
    ],
    [
      "waiting > 0 && waiting + response.content.length > MOST_WAITING",
      "false as boolean",
      "the bound on answers that wait",
    ],
    ["until: now + READ_MS", "until: NEVER", "the end of a slow request"],
    ["exchange.until = now + ANSWER_MS;", "exchange.until = NEVER;", "the end of waiting for an answer"],
    ["exchange.until = now + SEND_MS;", "exchange.until = NEVER;", "the end of a slow reader"],
    [
      "exchange.until = now + LINGER_MS;",
      "exchange.until = NEVER;",
      "the end of a connection whose other end does not close",
    ],
  ),
  ...mutationsOf("appliance/status/connections.ts", [
    "{ ...SERVED, listensAt }",
    "SERVED",
    "that the status page is at its own addresses alone",
  ]),
  ...mutationsOf("appliance/server-report.ts", [
    'if (!this.#hasNetwork) return { state: "waiting", isUp: false, since, reason: this.#lost };',
    "",
    "that a server without a network is not called healthy",
  ]),
  ...mutationsOf("appliance/status/status-side.ts", [
    "if (next !== undefined) this.#site.answer(now, next, (at, response) => server.answer(at, next.id, response));",
    "for (let q = next; q !== undefined; q = server.pollQuestion()) this.#site.answer(now, q, () => {});",
    "that a turn answers one request of the status page",
  ]),
  ...mutationsOf(
    "appliance/status/site.ts",
    ["if (!this.#isOurs(host)) {", "if (false as boolean) {", "that the status page answers to its own names alone"],
    ["if (!this.#settings.commands) return", "if (false as boolean) return", "that commands are off by default"],
    ["|| !this.#isFromHere(request, form)", "", "that commands come from no other site"],
    [
      "origin !== undefined && origin.toLowerCase() !==",
      'origin === "" && origin.toLowerCase() !==',
      "that a command's origin is this page",
    ],
    [
      'if (site !== undefined && site !== "same-origin") return false;',
      "",
      "that a browser's word about other sites counts",
    ],
    ['|| isSame(form.get("token") ?? "", this.#options.token)', "|| true", "the token of the page of commands"],
    [
      "if (users === undefined) return act(now, undefined);",
      "return act(now, undefined);",
      "that commands need a password where a file has them",
    ],
    ["!settings.commands || settings.users", "settings.users", "that commands that are off by then are not given"],
    [
      "|| settings.users?.get(user) !== hash ||",
      "||",
      "that a user who is gone by the time that a password is right gives no command",
    ],
    [
      "|| this.#options.commands() !== commands) {",
      ") {",
      "that a command is not given to a server that is over by then",
    ],
    ["      if (isRight) {\n", "      if (isRight || true) {\n", "that it is the right one"],
    [
      "if (this.#attempts.blocked(seconds, user, from) !== undefined) {",
      "if (false as boolean) {",
      "the bound on wrong passwords",
    ],
    [
      "    this.#attempts.failed(seconds, user, from);\n",
      "",
      "that passwords are counted before they are known to be wrong",
    ],
    [
      "        notWrong();\n        this.#attempts.succ",
      "        this.#attempts.succ",
      "that right passwords are no wrong ones",
    ],
    [
      "return this.#guard(at, reply, () => act(at, user));",
      "return act(at, user);",
      "that a command which fails behind a password ends no session",
    ],
    ['["X-Frame-Options", "DENY"]', '["X-Frame-Options", "ALLOW"]', "that no page can be framed, in old browsers"],
  ),
  ...mutationsOf(
    "appliance/status/page.ts",
    ["oneLine(text).replace(/[&<>\"']/g, (c) => `&#${c.charCodeAt(0)};`)", "text", "that text is no HTML"],
    ["/^https?:\\/\\//i.test(url)", "true", "that a link leads to a web page"],
    ["frame-ancestors 'none'; ", "", "that no page can be framed"],
  ),
  ...mutationsOf(
    "appliance/status/commands.ts",
    ["if (SETTLED.has(name))", "if (false as boolean)", "that what the server itself goes by is not pushed beside it"],
    ['if (option.includes(",") || ', "if (", "that an option is one"],
    ["if (unknown !== undefined) return", "if (false as boolean) return", "that a misspelled client is not everybody"],
    [
      'if (chosen !== "" && number === undefined) return',
      "if (false as boolean) return",
      "that a choice that is none is not everybody",
    ],
    ['if (id === undefined && name === "") return', "if (false as boolean) return", "that no name is not everybody"],
    ['if (halt !== undefined && halt !== "yes") return', "if (false as boolean) return", "that halt=no is no HALT"],
    [
      "(name !== undefined && client.name !== name)",
      "false",
      "that a number that another has now is not taken for the one that was meant",
    ],
  ),
  ...mutationsOf("appliance/status/metrics.ts", [
    'oneLine(value).replace(/[\\\\"]/g, "\\\\$&")',
    "value",
    "that a name makes no other metric",
  ]),
];
