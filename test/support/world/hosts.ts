/** Hosts that are network namespaces, with a folder and the programs that run on them: what every world is made of. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { addNamespace, inside, removeNamespace } from "./namespaces.ts";
import { Daemon, must, type Result, run } from "./process.ts";

export abstract class Hosts<Part extends string> {
  /** For logs, certificates and configurations. */
  readonly dir: string;
  readonly #prefix: string;
  readonly #daemons = new Map<string, Daemon>();
  readonly #namespaces = new Set<Part>();
  #serial = 0;

  /** @param prefix of the namespaces' names, nobody else's */
  protected constructor(dir: string, prefix: string) {
    this.dir = dir;
    this.#prefix = prefix;
  }

  /** Name of a part's namespace. */
  ns(part: Part): string {
    return this.#prefix + part;
  }

  /** Runs a program in a namespace to its end. */
  in(part: Part, argv: readonly string[], seconds = 30): Promise<Result> {
    return run(inside(this.ns(part), argv), seconds);
  }

  /** A shell script in a namespace that must succeed. */
  sh(part: Part, script: string): Promise<string> {
    return must(inside(this.ns(part), ["sh", "-ec", script]));
  }

  /** Exit status of a program that was started, -1 when it had to be killed, undefined when there is none of that name. */
  async stop(name: string, signal: NodeJS.Signals = "SIGTERM"): Promise<number | undefined> {
    const daemon = this.#daemons.get(name);
    this.#daemons.delete(name);
    return daemon?.stop(signal);
  }

  /** A program that was started. */
  daemon(name: string): Daemon {
    const daemon = this.#daemons.get(name);
    if (daemon === undefined) throw new Error(`${name} is not running`);
    return daemon;
  }

  /** Ends everything and removes the namespaces, and the folder unless it is kept. */
  async close(keepFolder = false): Promise<void> {
    for (const name of [...this.#daemons.keys()].reverse()) await this.stop(name);
    for (const part of [...this.#namespaces]) removeNamespace(this.ns(part));
    this.#namespaces.clear();
    if (!keepFolder) rmSync(this.dir, { recursive: true, force: true });
  }

  /** Starts a program that stays. */
  protected launch(name: string, part: Part, argv: readonly string[], options: { cwd?: string } = {}): Daemon {
    const daemon = new Daemon(name, inside(this.ns(part), argv), join(this.dir, `${name}-${this.next()}.log`), options);
    this.#daemons.set(name, daemon);
    return daemon;
  }

  /** Whether a program of that name runs. */
  protected runs(name: string): boolean {
    return this.#daemons.get(name)?.alive === true;
  }

  /** A number that was not there before, for names. */
  protected next(): number {
    return ++this.#serial;
  }

  protected async addPart(part: Part): Promise<void> {
    this.#namespaces.add(part);
    await addNamespace(this.ns(part));
  }

  /** A cable between two parts, with the name of its interface at each. */
  protected cable(a: string, aPart: Part, b: string, bPart: Part): Promise<string> {
    const far = ["type", "veth", "peer", "name", b, "netns", this.ns(bPart)];
    return must(["ip", "link", "add", a, "netns", this.ns(aPart), ...far]);
  }
}
