/**
 * The router under test in a world: `morgana appliance` on the namespace's interfaces. `MORGANA=` names another binary;
 * `ROUTER=openvpn` puts the kernel with openvpn in its place, to try out the tests themselves (it fails some, rightly: it leaks).
 */

import type { ServerOptions } from "../support/world/openvpn-server.ts";
import { canMakeNamespaces } from "../support/world/privilege.ts";
import { type Daemon, PATIENCE } from "../support/world/process.ts";
import { startKernelRouter, startNative } from "../support/world/router.ts";
import { TUNNEL, type World } from "../support/world/world.ts";

/** Tests that need namespaces are skipped without them; scripts/test.ts finds a way or says why not. */
export const NO_WORLD = !canMakeNamespaces();
export const REFERENCE = process.env["ROUTER"] === "openvpn";

export class Subject {
  readonly world: World;
  private daemon: Daemon | undefined;

  constructor(world: World) {
    this.world = world;
  }

  /** Starts the router anew, with a stock configuration unless told. */
  async boot(config = this.world.config(), more: readonly string[] = []): Promise<Daemon> {
    await this.halt();
    this.daemon = REFERENCE ? await startKernelRouter(this.world, config) : startNative(this.world, config, { more });
    return this.daemon;
  }

  /** Starts it and waits for a ping through the tunnel; fails with the end of its log. */
  async bootUp(config?: string, seconds = PATIENCE): Promise<Daemon> {
    const daemon = await this.boot(config);
    await this.up(seconds);
    return daemon;
  }

  /** Seconds until a ping goes through the tunnel. */
  async up(seconds = PATIENCE, target = TUNNEL): Promise<number> {
    const after = await this.world.tunnelUp(seconds, target);
    if (after === undefined)
      throw new Error(`no ping through the tunnel within ${seconds} s; the router says:\n${this.log().slice(-3000)}`);
    return after;
  }

  /** Exit status after SIGTERM; -1 when it had to be killed, undefined when it did not run. */
  async halt(): Promise<number | undefined> {
    const status = await this.world.stop("router");
    this.daemon = undefined;
    return status;
  }

  get running(): Daemon {
    if (this.daemon === undefined) throw new Error("the router was not started");
    return this.daemon;
  }

  get alive(): boolean {
    return this.daemon?.alive === true;
  }

  log(): string {
    return this.daemon?.log() ?? "";
  }

  /** The line in which the router says something; fails with the end of its log when it does not. */
  async says(pattern: RegExp, seconds = PATIENCE): Promise<string> {
    const match = await this.running.says(new RegExp(`.*(?:${pattern.source}).*`, "i"), seconds);
    if (match === undefined)
      throw new Error(`the router did not say ${pattern} within ${seconds} s but:\n${this.log().slice(-3000)}`);
    return match[0];
  }
}

/** The options of a server on one tunnel network, for tests that restart it. */
export type Server = Partial<ServerOptions>;
