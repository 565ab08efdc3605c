/**
 * The site behind the status page: which request gets what.
 *
 * Who is on the LAN may read it. Commands are off until the settings turn them on, and then they are for whoever is on the LAN, or for the users of a
 * file alone. A browser of the LAN must not be made to give one by a page of somebody else's:
 *
 * - each request is for one of this router's names or addresses, so that a foreign name that leads here (DNS rebinding) gets nothing;
 * - a command bears the token of the page of commands, which no other site can read, or the field Morgana-Command, which a browser sends to
 *   another site only after asking (CORS), and is never allowed; where Origin and Sec-Fetch-Site say from where it comes, that is here;
 * - no page can be framed (clickjacking), and no password is remembered by the browser for this site as a whole (HTTP logins).
 */
import { timingSafeEqual } from "node:crypto";
import { FailureLog } from "../../lib/failure-log.ts";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import type { Log } from "../../lib/log.ts";
import { parseForm } from "../../netstack/http/form.ts";
import type { HttpRequest } from "../../netstack/http/request.ts";
import type { HttpResponse } from "../../netstack/http/response.ts";
import type { HttpQuestion } from "../../netstack/http/server.ts";
import { Attempts } from "../../protocol/server/attempts.ts";
import type { ClientCommands } from "../vpn-end.ts";
import { carryOut, parseCommand } from "./commands.ts";
import { PageDrops } from "./counters.ts";
import { METRICS_TYPE, metricsOf } from "./metrics.ts";
import { commandsPage, pagePolicy, stateText, statusPage } from "./page.ts";
import type { StatusReport } from "./report.ts";

/** What can change while it runs. */
export interface SiteSettings {
  readonly commands: boolean;
  /** Who may give them, and the hashes of their passwords; undefined: whoever is on the LAN. */
  readonly users: ReadonlyMap<string, string> | undefined;
}

export interface SiteOptions {
  readonly hostname: string;
  /** Of the LAN's hosts; undefined: there is no such domain of ours. */
  readonly domain: string | undefined;
  readonly addresses: readonly IpAddress[];
  readonly report: (now: number) => StatusReport;
  readonly commands: () => ClientCommands | undefined;
  /** Random text of this start. */
  readonly token: string;
  readonly log: Log;
  readonly unixSeconds: () => number;
}

type Reply = (now: number, response: HttpResponse) => void;

const TEXT = "text/plain; charset=utf-8";
const HTML = "text/html; charset=utf-8";
const READ = "GET, HEAD";
const COMMAND_FIELD = "morgana-command";

/** For every answer: nothing is kept, guessed, embedded or told to others. */
const GUARDS: readonly (readonly [string, string])[] = [
  ["Cache-Control", "no-store"],
  ["X-Content-Type-Options", "nosniff"],
  ["Cross-Origin-Resource-Policy", "same-origin"],
  ["Referrer-Policy", "same-origin"],
];

export class StatusSite {
  readonly drops = new PageDrops();
  readonly #options: SiteOptions;
  readonly #attempts = new Attempts();
  readonly #failures: FailureLog;
  #settings: SiteSettings;
  #policy: string | undefined;
  /** What came of the last command. */
  #last: string | undefined;

  constructor(options: SiteOptions, settings: SiteSettings) {
    this.#options = options;
    this.#settings = settings;
    this.#failures = new FailureLog(options.log);
  }

  /** Other settings, from now on. */
  take(settings: SiteSettings): void {
    this.#settings = settings;
  }

  /** Answers a request, within this call or, where it depends on a password, later. It never throws, and what happens later neither. */
  answer(now: number, question: HttpQuestion, reply: Reply): void {
    this.#guard(now, reply, () => this.#answer(now, question, reply));
  }

  #answer(now: number, { request, from }: HttpQuestion, reply: Reply): void {
    const { method, path, host } = request;
    if (!this.#isOurs(host)) {
      this.drops.drop("wrong-host");
      const { hostname } = this.#options;
      return reply(now, this.#text(421, `This is ${hostname}; ask for it by its address, or by that name.`));
    }
    const isRead = method === "GET" || method === "HEAD";
    if (path === "/commands") {
      if (isRead) return reply(now, this.#commandsPage(now));
      if (method === "POST") return this.#command(now, request, from, reply);
      return reply(now, this.#wrongMethod(`${READ}, POST`));
    }
    const page = PAGES[path];
    if (page === undefined) {
      this.drops.drop("unknown-page");
      return reply(now, this.#text(404, "There is no such page: / has the links."));
    }
    if (!isRead) return reply(now, this.#wrongMethod(READ));
    reply(now, page(this, this.#options.report(now)));
  }

  page(report: StatusReport): HttpResponse {
    return this.#html(statusPage(report, this.#settings.commands));
  }

  json(report: StatusReport): HttpResponse {
    return this.#response(200, "application/json", `${JSON.stringify(report)}\n`);
  }

  metrics(report: StatusReport): HttpResponse {
    return this.#response(200, METRICS_TYPE, metricsOf(report));
  }

  health(report: StatusReport): HttpResponse {
    const { up, role, reason } = report;
    const what = role === "server" ? "the server" : "the tunnel";
    if (up) return this.#text(200, role === "server" ? "ok: the server listens" : "ok: the tunnel is up");
    return this.#text(503, `${what} is not there: ${stateText(report)}${reason === null ? "" : `; ${reason}`}`);
  }

  /** Whether a request is for this router. Programs without Host know no names; a browser always sends one. */
  #isOurs(host: string | undefined): boolean {
    if (host === undefined) return true;
    const { hostname, domain, addresses } = this.#options;
    const name = host.replace(/\.$/, "");
    if (name === hostname.toLowerCase()) return true;
    if (domain !== undefined && name === `${hostname.toLowerCase()}.${domain}`) return true;
    const address = parseIp(host.replace(/^\[(.*)\]$/, "$1"));
    return address !== undefined && addresses.some((own) => own.equals(address));
  }

  #commandsPage(now: number): HttpResponse {
    const { hostname, report, commands, token } = this.#options;
    const off = this.#commandsProblem(commands());
    if (off !== undefined) return this.#text(403, off);
    const { clients } = report(now);
    const needsLogin = this.#settings.users !== undefined;
    return this.#html(commandsPage({ hostname, clients, token, needsLogin, last: this.#last }));
  }

  /** Why there are no commands. */
  #commandsProblem(commands: ClientCommands | undefined): string | undefined {
    if (!this.#settings.commands) return "Commands are off; [status] commands = true in appliance.toml turns them on.";
    return commands === undefined ? "There are no commands: no server runs." : undefined;
  }

  #command(now: number, request: HttpRequest, from: IpAddress, reply: Reply): void {
    const { log, unixSeconds } = this.#options;
    const commands = this.#options.commands();
    const form = parseForm(request.content);
    const off = this.#commandsProblem(commands);
    if (commands === undefined || off !== undefined) {
      this.drops.drop("commands-off");
      return reply(now, this.#text(403, off ?? ""));
    }
    if (form === undefined || !this.#isFromHere(request, form)) {
      this.drops.drop("cross-site");
      return reply(
        now,
        this.#text(403, "Not from this page: load /commands again, or send the field Morgana-Command."),
      );
    }
    const { users } = this.#settings;
    const act = (at: number, user: string | undefined): void => {
      const command = parseCommand(form, commands.clients());
      if (typeof command === "string") this.drops.drop("bad-command");
      const outcome =
        typeof command === "string" ? { text: command, clients: undefined } : carryOut(at, command, commands);
      log.write("info", "status.command", outcome.text, { from: `${from}`, user });
      this.#last = outcome.text;
      const status = outcome.clients === undefined ? 400 : outcome.clients === 0 ? 404 : 200;
      if (request.fields.has(COMMAND_FIELD)) return reply(at, this.#text(status, outcome.text));
      // The page again, so that loading it anew gives no second command.
      reply(at, { ...this.#text(303, outcome.text), fields: [...GUARDS, ["Location", "/commands"]] });
    };
    if (users === undefined) return act(now, undefined);
    const user = form.get("user") ?? "";
    const seconds = unixSeconds();
    if (this.#attempts.blocked(seconds, user, from) !== undefined) {
      this.drops.drop("login-blocked");
      return reply(now, this.#text(429, "Too many wrong passwords, or too many at once; wait a minute."));
    }
    // What is being looked into counts as wrong until it is known, so that guesses at once are no more than one after the other.
    this.#attempts.failed(seconds, user, from);
    const notWrong = (): void => this.#attempts.takenBack(unixSeconds(), user, from);
    const hash = users.get(user);
    const asked = commands.passwords.verify(hash, form.get("password") ?? "", (at, isRight) => {
      // Other settings may have been taken in the meantime, and another server may run.
      const settings = this.#settings;
      if (!settings.commands || settings.users?.get(user) !== hash || this.#options.commands() !== commands) {
        this.drops.drop("commands-off");
        if (isRight) notWrong();
        return reply(at, this.#text(403, "The configuration was read anew in the meantime; try again."));
      }
      if (isRight) {
        notWrong();
        this.#attempts.succeeded(user, from);
        return this.#guard(at, reply, () => act(at, user));
      }
      this.drops.drop("wrong-login");
      log.write("warn", "status.refused", "a command with a wrong user or password", { from: `${from}` });
      reply(at, this.#text(403, "User or password is wrong."));
    });
    if (asked !== undefined) return;
    notWrong();
    reply(now, this.#text(503, "Too many logins at once; try again."));
  }

  /** What fails on the page must not cost the tunnel, nor the server whose passwords are looked into. */
  #guard(now: number, reply: Reply, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#failures.write(now, error);
      reply(now, this.#text(500, "It failed; the log says why."));
    }
  }

  /** Whether a command is one of this page's, or of a program's: see above. */
  #isFromHere({ fields }: HttpRequest, form: ReadonlyMap<string, string>): boolean {
    const origin = fields.get("origin");
    const site = fields.get("sec-fetch-site");
    if (origin !== undefined && origin.toLowerCase() !== `http://${(fields.get("host") ?? "").toLowerCase()}`)
      return false;
    if (site !== undefined && site !== "same-origin") return false;
    return fields.has(COMMAND_FIELD) || isSame(form.get("token") ?? "", this.#options.token);
  }

  #wrongMethod(allowed: string): HttpResponse {
    this.drops.drop("wrong-method");
    return { ...this.#text(405, `Methods: ${allowed}.`), fields: [...GUARDS, ["Allow", allowed]] };
  }

  #text(status: number, text: string): HttpResponse {
    return this.#response(status, TEXT, `${text}\n`);
  }

  #html(text: string): HttpResponse {
    this.#policy ??= pagePolicy();
    const fields = [...GUARDS, ["Content-Security-Policy", this.#policy], ["X-Frame-Options", "DENY"]] as const;
    return { ...this.#response(200, HTML, text), fields };
  }

  #response(status: number, type: string, text: string): HttpResponse {
    return { status, type, content: new TextEncoder().encode(text), fields: GUARDS };
  }
}

const PAGES: Readonly<Record<string, (site: StatusSite, report: StatusReport) => HttpResponse>> = {
  __proto__: null as never,
  "/": (site, report) => site.page(report),
  "/status.json": (site, report) => site.json(report),
  "/metrics": (site, report) => site.metrics(report),
  "/health": (site, report) => site.health(report),
};

function isSame(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => new TextEncoder().encode(text)) as [Uint8Array, Uint8Array];
  return x.length === y.length && timingSafeEqual(x, y);
}
