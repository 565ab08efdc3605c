/** The pages for people: plain HTML without scripts, and with nothing from elsewhere. Whatever comes from outside is text. */
import { oneLine } from "../../protocol/config/lexer.ts";
import type { ClientReport, StatusReport } from "./report.ts";

/** Our choices: how often the page is loaded again, and how long its lists are. */
const REFRESH_SECONDS = 10;
const MOST_ROWS = 256;

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222;background:#fff}
h1 small{font-size:60%;padding:.2em .6em;border-radius:.3em;color:#fff}.up{background:#197a3e}.down{background:#b3261e}
table{border-collapse:collapse;margin:.5em 0 1.5em}th,td{text-align:left;padding:.2em 1.2em .2em 0;vertical-align:top}
thead th{border-bottom:1px solid #999}tbody tr:nth-child(even){background:#f4f4f4}label{display:block;margin:.4em 0}
input,textarea,select{font:inherit}textarea{width:40em;max-width:100%}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}tbody tr:nth-child(even){background:#262626}a{color:#8ab4f8}}`;

/** What a browser may do with a page: show it, and send its forms back here (CSP level 2). */
export const pagePolicy = (): string => {
  const hash = new Bun.CryptoHasher("sha256").update(STYLE).digest("base64");
  return `default-src 'none'; style-src 'sha256-${hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`;
};

export interface CommandsPage {
  readonly hostname: string;
  readonly clients: readonly ClientReport[];
  /** Of this start: a form without it is not from this page. */
  readonly token: string;
  /** A user and a password are asked for. */
  readonly needsLogin: boolean;
  /** What came of the last command. */
  readonly last: string | undefined;
}

/** @param hasCommands there is a page of commands */
export function statusPage(report: StatusReport, hasCommands: boolean): string {
  const { hostname, role, up, state, since, reason, openUrl, tunnel, wan, lan, clients, clientCount } = report;
  const age = since === null ? "" : ` for ${duration((Date.parse(report.time) - Date.parse(since)) / 1000)}`;
  const isServer = role === "server";
  const rows: (readonly [string, Html | string | number | null])[] = [
    [isServer ? "server" : "tunnel", `${stateText(report)}${age}`],
    ["because", reason],
    ["log in at", openUrl === null ? null : link(openUrl)],
    ["server", tunnel === null ? null : `${tunnel.server ?? ""} (${tunnel.protocol ?? ""})`],
    ["address", join(tunnel?.address, tunnel?.address6)],
    ["peer", tunnel?.peer ?? null],
    ["cipher", tunnel?.cipher ?? null],
    ["MTU", tunnel?.mtu ?? null],
    ["routes", tunnel?.routes ?? null],
    ["DNS", tunnel === null ? null : tunnel.dns.join(", ")],
    ["WAN", `${wan.interface}: ${wan.up ? wan.addresses.join(", ") : "no network"}`],
    ["LAN", `${lan.interface}: ${lan.addresses.join(", ")}`],
  ];
  return page(
    `${hostname}: ${up ? "up" : state}`,
    [
      html`<h1>${hostname} <small class="${up ? "up" : "down"}">${up ? "up" : state}</small></h1>`,
      list("Problems of the configuration", report.problems),
      table(
        [],
        rows.filter(([, value]) => value !== null && value !== "").map(([name, value]) => [bold(name), value]),
      ),
      ...(isServer ? [html`<h2>Clients (${clientCount})</h2>`, clientTable(clients)] : []),
      ...(isServer && hasCommands ? [html`<p><a href="/commands">Commands</a></p>`] : []),
      ...(lan.leaseCount > 0 ? [html`<h2>Leases (${lan.leaseCount})</h2>`, leaseTable(report)] : []),
      list("Warnings of the configuration", report.warnings),
      html`<p><small>Morgana ${report.version}, ${report.time}. <a href="/status.json">JSON</a> <a href="/metrics">metrics</a> <a href="/health">health</a></small></p>`,
    ],
    REFRESH_SECONDS,
  );
}

export function commandsPage({ hostname, clients, token, needsLogin, last }: CommandsPage): string {
  const login = needsLogin
    ? html`<label>User <input name="user" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>`
    : NOTHING;
  const form = (command: string, fields: Html, button: string): Html =>
    html`<form method="post" action="/commands"><input type="hidden" name="token" value="${token}">
<input type="hidden" name="command" value="${command}">${fields}${login}<button>${button}</button></form>`;
  const choice = (everybody: Html): Html => {
    const options = clients
      .slice(0, MOST_ROWS)
      .map(({ id, name, address }) => html`<option value="${id} ${name}">${name} (${address})</option>`);
    return html`<label>Client <select name="who">${everybody}${options}</select></label>`;
  };
  return page(`${hostname}: commands`, [
    html`<h1>${hostname}: commands</h1><p><a href="/">Status</a></p>`,
    last === undefined ? NOTHING : html`<p><b>${last}</b></p>`,
    html`<h2>End a client's session</h2><p>It may come again at once: who is to stay out has to be revoked, or disabled in the profile.</p>`,
    form(
      "kill",
      html`${choice(NOTHING)}<label><input type="checkbox" name="halt" value="yes"> and tell its program to end</label>`,
      "End it",
    ),
    html`<h2>Change what clients were pushed</h2><p>While their tunnels are up, of those that can (PUSH_UPDATE, OpenVPN 2.7): one option a line, in the place of those of its kind; -route takes a kind away.</p>`,
    form(
      "push-update",
      html`${choice(html`<option value="">all of them</option>`)}<label>Options <textarea name="options" rows="4" placeholder="route 10.9.0.0 255.255.0.0" required></textarea></label>`,
      "Push",
    ),
  ]);
}

/** Text that is HTML already. */
class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = Html | readonly Html[] | string | number;
const NOTHING = new Html("");

/** A template whose values are escaped, but for those that are HTML already. */
const html = (strings: TemplateStringsArray, ...values: readonly Part[]): Html =>
  new Html(strings.map((text, i) => text + (i < values.length ? htmlOf(values[i] as Part) : "")).join(""));

function htmlOf(part: Part): string {
  if (part instanceof Html) return part.text;
  if (typeof part === "object") return part.map(({ text }) => text).join("");
  return escapeHtml(`${part}`);
}

/** Also for values of attributes, which stand in double quotes. */
const escapeHtml = (text: string): string => oneLine(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function page(title: string, body: readonly Html[], refresh?: number): string {
  const again = refresh === undefined ? NOTHING : html`<meta http-equiv="refresh" content="${refresh}">`;
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">${again}
<title>${title}</title><style>${new Html(STYLE)}</style></head><body>
${body}
</body></html>
`.text;
}

function table(heads: readonly string[], rows: readonly (readonly (Part | null)[])[]): Html {
  const head =
    heads.length === 0 ? NOTHING : html`<thead><tr>${heads.map((text) => html`<th>${text}</th>`)}</tr></thead>`;
  const body = rows
    .slice(0, MOST_ROWS)
    .map((row) => html`<tr>${row.map((cell) => html`<td>${cell ?? ""}</td>`)}</tr>\n`);
  const more = rows.length > MOST_ROWS ? html`<tr><td>and ${rows.length - MOST_ROWS} more</td></tr>` : NOTHING;
  return html`<table>${head}<tbody>${body}${more}</tbody></table>`;
}

const clientTable = (clients: readonly ClientReport[]): Html =>
  table(
    ["Name", "Address", "Tunnel", "Since", "Received", "Sent", "Cipher", "Version"],
    clients.map((c) => [
      ...[c.name, `${c.address} (${c.protocol})`, join(c.tunnel, c.tunnel6), c.since.replace(/\.\d+Z$/, "Z")],
      ...[bytes(c.receivedBytes), bytes(c.sentBytes), c.cipher, c.version],
    ]),
  );

const leaseTable = ({ lan }: StatusReport): Html =>
  table(
    ["Address", "MAC", "Name", "Until"],
    lan.leases.map(({ address, mac, name, until }) => [address, mac, name, until.replace(/\.\d+Z$/, "Z")]),
  );

const list = (title: string, lines: readonly string[]): Html =>
  lines.length === 0 ? NOTHING : html`<h2>${title}</h2><ul>${lines.map((line) => html`<li>${line}</li>`)}</ul>`;

const bold = (text: string): Html => html`<b>${text}</b>`;

/** Only what leads to a web page: a server says what it likes. */
const link = (url: string): Html =>
  /^https?:\/\//i.test(url) ? html`<a href="${url}" rel="noreferrer noopener">${url}</a>` : html`${url}`;

const join = (...texts: readonly (string | null | undefined)[]): string =>
  texts.filter((text) => text !== null && text !== undefined).join(", ");

const STATES: Readonly<Record<string, string>> = {
  unconfigured: "the configuration has problems",
  waiting: "waits for a network",
  "backing-off": "waits before the next attempt",
  resolving: "looks up the server's name",
  connecting: "connects",
  leaving: "leaves",
  stopped: "has stopped",
  failed: "cannot listen",
  up: "up",
};

/** The state in words. */
export function stateText({ state, role }: Pick<StatusReport, "state" | "role">): string {
  if (state === "listening") return role === "server" ? "listens" : "waits for its peer";
  return STATES[state] ?? state;
}

/** "3 d 4 h", "12 min", "7 s". */
function duration(seconds: number): string {
  const [d, h, m, s] = [seconds / 86_400, (seconds / 3600) % 24, (seconds / 60) % 60, seconds % 60].map(Math.floor) as [
    number,
    number,
    number,
    number,
  ];
  if (d > 0) return `${d} d ${h} h`;
  if (h > 0) return `${h} h ${m} min`;
  return m > 0 ? `${m} min` : `${Math.max(0, s)} s`;
}

/** "1.4 MB". */
function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = n;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
