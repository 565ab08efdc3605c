/** The status page on the LAN: an HTTP server at the LAN's addresses, and its site. */

import { FailureLog } from "../../lib/failure-log.ts";
import type { IpAddress } from "../../lib/ip.ts";
import type { Log } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { ascii, type HttpResponse } from "../../netstack/http/response.ts";
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
const FAILED: HttpResponse = { status: 500, type: "text/plain", content: ascii("It failed; the log says why.\n") };

export class StatusSide {
  readonly #server: HttpServer;
  readonly #site: StatusSite;
  readonly #connections: HttpConnections;
  readonly #failures: FailureLog;

  constructor(options: StatusSideOptions, settings: SiteSettings) {
    const { tcp, port, addresses, random, log } = options;
    const token = new Uint8Array(TOKEN_BYTES);
    random.fill(token);
    this.#failures = new FailureLog(log);
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

  poll(now: number): void {
    const server = this.#server;
    for (let next = server.pollQuestion(); next !== undefined; next = server.pollQuestion()) {
      const { id } = next;
      const reply = (at: number, response: HttpResponse): void => server.answer(at, id, response);
      try {
        this.#site.answer(now, next, reply);
      } catch (error) {
        // What fails on the page must not cost the tunnel.
        this.#failures.write(now, error);
        reply(now, FAILED);
      }
    }
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
