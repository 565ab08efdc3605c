/** The status page on the LAN: an HTTP server at the LAN's addresses, and its site. */
import type { IpAddress } from "../../lib/ip.ts";
import type { Log } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { HttpServer } from "../../netstack/http/server.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import { dropFields } from "../statistics.ts";
import { HttpConnections } from "./connections.ts";
import { type SiteOptions, type SiteSettings, StatusSite } from "./site.ts";

export interface StatusSideOptions extends Omit<SiteOptions, "token"> {
  /** Of the LAN. */
  readonly tcp: Tcp;
  readonly port: number;
  readonly random: Random;
}

const TOKEN_BYTES = 16;

export class StatusSide {
  readonly #server: HttpServer;
  readonly #site: StatusSite;
  readonly #connections: HttpConnections;

  constructor(options: StatusSideOptions, settings: SiteSettings) {
    const { tcp, port, addresses, random, log } = options;
    const token = new Uint8Array(TOKEN_BYTES);
    random.fill(token);
    this.#server = new HttpServer(random);
    this.#site = new StatusSite({ ...options, token: token.toHex() }, settings);
    this.#connections = new HttpConnections(tcp, port, addresses, this.#server);
    sayListening(log, port, addresses, this.#connections.isListening);
  }

  /** Takes what of the settings can change while it runs. */
  take(settings: SiteSettings): void {
    this.#site.take(settings);
  }

  /** What was done and what was not. */
  get statistics(): Record<string, number> {
    const { counts, drops } = this.#server.counters;
    return { ...counts.snapshot(), ...dropFields("httpDrop", drops), ...dropFields("pageDrop", this.#site.drops) };
  }

  pollAt(): number {
    return this.#connections.pollAt();
  }

  /** One request a turn: with a thousand clients a page takes milliseconds, and packets wait meanwhile. */
  poll(now: number): void {
    const server = this.#server;
    const next = server.pollQuestion();
    if (next !== undefined) this.#site.answer(now, next, (at, response) => server.answer(at, next.id, response));
    this.#connections.poll(now);
  }
}

function sayListening(log: Log, port: number, addresses: readonly IpAddress[], isListening: boolean): void {
  const places = addresses.map((address) => (address.isIpv4 ? `${address}` : `[${address}]`));
  const urls = places.map((place) => `http://${place}${port === 80 ? "" : `:${port}`}/`).join(" ");
  if (isListening) log.write("info", "status.listening", "", { url: urls });
  else
    log.write("error", "status.failed", `port ${port} of the LAN is another service's; choose another [status] port`);
}
