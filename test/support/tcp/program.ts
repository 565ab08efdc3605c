/**
 * The commands that both programs of the TCP judge have, over whatever transport: kernel-host.ts, own-host.ts.
 *
 *   serve PORT                                  accepts until it is ended; prints "ready"
 *   get|put HOST PORT bytes|ms N                one transfer; prints its outcome as JSON
 *   both HOST PORT bytes|ms N                   one each way at once; prints both outcomes
 *   row HOST PORT COUNT BYTES                   so many transfers, one after the other
 *   together HOST PORT COUNT BYTES              so many at once: the first ends when the last is connected
 */
import {
  type Amount,
  ClientSide,
  type Handlers,
  type Kind,
  type Outcome,
  ServerSide,
  type Stream,
} from "./transfer.ts";

export interface Transport {
  listen(port: number, accept: () => Handlers): void | Promise<void>;
  /** `closed` tells of a failure. */
  connect(host: string, port: number, handlers: Handlers): void;
}

/** What several transfers came to. */
export interface Tally {
  readonly good: number;
  readonly ms: number;
  /** The first few. */
  readonly problems: readonly string[];
}

const MAX_PROBLEMS = 5;

/** Runs the command in `argv`; resolves when it is done (serve: never). */
export async function runCommand(transport: Transport, argv: readonly string[]): Promise<void> {
  const [command = "", ...rest] = argv;
  if (command === "serve") {
    await transport.listen(Number(rest[0]), () => new ServerSide());
    console.log("ready");
    return new Promise(() => {});
  }
  const [host = "", port = "", x = "", y = ""] = rest;
  const amount: Amount = x === "ms" ? { ms: Number(y) } : { bytes: Number(y) };
  const one = (kind: Kind): Promise<Outcome> => transfer(transport, host, Number(port), kind, amount);
  if (command === "get" || command === "put") {
    console.log(JSON.stringify(await one(command)));
  } else if (command === "both") {
    console.log(JSON.stringify(await Promise.all([one("get"), one("put")])));
  } else if (command === "row") {
    console.log(JSON.stringify(await inARow(transport, host, Number(port), Number(x), Number(y))));
  } else if (command === "together") {
    console.log(JSON.stringify(await together(transport, host, Number(port), Number(x), Number(y))));
  } else throw new Error(`${command}: unknown`);
}

function transfer(transport: Transport, host: string, port: number, kind: Kind, amount: Amount): Promise<Outcome> {
  return new Promise((done) => transport.connect(host, port, new ClientSide(kind, amount, done)));
}

async function inARow(transport: Transport, host: string, port: number, count: number, bytes: number): Promise<Tally> {
  const start = performance.now();
  const problems: string[] = [];
  for (let i = 0; i < count; i++) {
    const { problem } = await transfer(transport, host, port, i % 2 === 0 ? "get" : "put", { bytes });
    if (problem !== undefined) problems.push(`${i}: ${problem}`);
  }
  return tally(count, problems, start);
}

async function together(
  transport: Transport,
  host: string,
  port: number,
  count: number,
  bytes: number,
): Promise<Tally> {
  const start = performance.now();
  const problems: string[] = [];
  const waiting: (() => void)[] = [];
  const outcomes = Array.from(
    { length: count },
    (_, i) =>
      new Promise<void>((done) => {
        const client = new ClientSide(i % 2 === 0 ? "get" : "put", { bytes }, ({ problem }) => {
          if (problem !== undefined) problems.push(`${i}: ${problem}`);
          done();
        });
        transport.connect(
          host,
          port,
          new Gate(client, (open) => {
            waiting.push(open);
            if (waiting.length === count) for (const go of waiting) go();
          }),
        );
      }),
  );
  await Promise.all(outcomes);
  return tally(count, problems, start);
}

/** Keeps the client from beginning until all are connected. */
class Gate implements Handlers {
  private readonly client: ClientSide;
  private readonly wait: (open: () => void) => void;
  private isOpen = false;

  constructor(client: ClientSide, wait: (open: () => void) => void) {
    this.client = client;
    this.wait = wait;
  }

  opened(stream: Stream): void {
    this.wait(() => {
      this.isOpen = true;
      this.client.opened(stream);
    });
  }

  data(bytes: Uint8Array): void {
    this.client.data(bytes);
  }

  writable(): void {
    if (this.isOpen) this.client.writable();
  }

  ended(): void {
    this.client.ended();
  }

  closed(reason: string | undefined): void {
    if (!this.isOpen) this.wait(() => {}); // the others do not wait for it
    this.client.closed(reason);
  }
}

const tally = (count: number, problems: readonly string[], start: number): Tally => ({
  good: count - problems.length,
  ms: Math.round(performance.now() - start),
  problems: problems.slice(0, MAX_PROBLEMS),
});
