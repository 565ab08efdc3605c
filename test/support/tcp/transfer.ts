/**
 * What the TCP judge's programs say to each other over a connection. The client asks in 16 bytes:
 *   0 kind | 8 amount (float64)
 * and then one of them sends a pattern that both know, so that whoever receives can say by its SHA-256 whether every byte
 * arrived, once and in order.
 */
import { createHash } from "node:crypto";
import { Xorshift } from "../world/rng.ts";

export type Kind = "get" | "put";
/** So many bytes, with both ends closed in order; or whatever arrives within so many ms. */
export type Amount = { readonly bytes: number } | { readonly ms: number };

export interface Outcome {
  readonly bytes: number;
  readonly ms: number;
  /** What was wrong, in words; undefined: every byte arrived as it was sent. */
  readonly problem: string | undefined;
}

/** A connection as both programs see it. */
export interface Stream {
  /** Bytes that it took; when fewer, `writable` follows. */
  write(bytes: Uint8Array): number;
  /** No more is sent. */
  end(): void;
  abort(): void;
}

export interface Handlers {
  opened(stream: Stream): void;
  /** Valid during the call. */
  data(bytes: Uint8Array): void;
  writable(): void;
  /** The peer sends no more. */
  ended(): void;
  /** It is over; with a reason when it was broken off. */
  closed(reason: string | undefined): void;
}

const REQUEST = 16;
const GET_BYTES = 1;
const GET_FOR = 2;
const PUT_BYTES = 3;
const PUT_FOR = 4;
const SHA256 = 32;
const REPORT = 8 + SHA256;

/** Not a power of two: what is shifted by a page or a segment is something else. */
const PATTERN = new Xorshift(1).bytes(1_048_583);
/** What is written at once. */
const CHUNK = 256 << 10;

/** Sends the pattern, `total` bytes of it. */
class Sender {
  private at = 0;
  private readonly total: number;

  constructor(total: number) {
    this.total = total;
  }

  /** Writes as much as the stream takes; true: that was all. */
  pump(stream: Stream): boolean {
    while (this.at < this.total) {
      const from = this.at % PATTERN.length;
      const len = Math.min(CHUNK, this.total - this.at, PATTERN.length - from);
      const taken = stream.write(PATTERN.subarray(from, from + len));
      this.at += taken;
      if (taken < len) return false;
    }
    return true;
  }
}

/** Counts and hashes what arrives. */
class Receiver {
  bytes = 0;
  private readonly hash = createHash("sha256");

  take(bytes: Uint8Array): void {
    this.hash.update(bytes);
    this.bytes += bytes.length;
  }

  digest(): Buffer {
    return this.hash.digest();
  }
}

/** SHA-256 of the first `length` bytes of the pattern. */
function patternDigest(length: number): Buffer {
  const hash = createHash("sha256");
  for (let left = length; left > 0; left -= PATTERN.length)
    hash.update(PATTERN.subarray(0, Math.min(left, PATTERN.length)));
  return hash.digest();
}

/** The side that was connected to. */
export class ServerSide implements Handlers {
  private stream: Stream | undefined;
  private request: Uint8Array = new Uint8Array(0);
  private kind = 0;
  private sender: Sender | undefined;
  private readonly receiver = new Receiver();
  private isDone = false;

  opened(stream: Stream): void {
    this.stream = stream;
  }

  data(bytes: Uint8Array): void {
    let payload = bytes;
    if (this.kind === 0) {
      const all = new Uint8Array(this.request.length + bytes.length);
      all.set(this.request);
      all.set(bytes, this.request.length);
      this.request = all;
      if (all.length < REQUEST) return;
      payload = all.subarray(REQUEST);
      this.begin(new DataView(all.buffer).getUint8(0), new DataView(all.buffer).getFloat64(8));
    }
    if (!this.isDone && payload.length > 0) this.receiver.take(payload);
  }

  writable(): void {
    if (this.sender?.pump(this.stream!) === true) this.finish();
  }

  ended(): void {
    if (this.kind === PUT_BYTES) this.report();
    else if (this.kind !== GET_BYTES) this.finish();
  }

  closed(): void {
    this.isDone = true;
  }

  private begin(kind: number, amount: number): void {
    this.kind = kind;
    if (kind === GET_BYTES || kind === GET_FOR) {
      this.sender = new Sender(kind === GET_BYTES ? amount : Number.POSITIVE_INFINITY);
      this.writable();
    } else if (kind === PUT_FOR) setTimeout(() => this.report(), amount);
  }

  private report(): void {
    if (this.isDone) return;
    const report = Buffer.alloc(REPORT);
    report.writeDoubleBE(this.receiver.bytes);
    this.receiver.digest().copy(report, 8);
    this.stream!.write(report);
    this.finish();
  }

  private finish(): void {
    if (this.isDone) return;
    this.isDone = true;
    this.stream!.end();
  }
}

/** The side that connects, and judges. */
export class ClientSide implements Handlers {
  private readonly kind: Kind;
  private readonly amount: Amount;
  private readonly done: (outcome: Outcome) => void;
  private readonly receiver = new Receiver();
  private stream: Stream | undefined;
  private sender: Sender | undefined;
  private startedAt = 0;
  private hasSentAll = false;
  private answer = Buffer.alloc(0);
  private isDone = false;

  constructor(kind: Kind, amount: Amount, done: (outcome: Outcome) => void) {
    this.kind = kind;
    this.amount = amount;
    this.done = done;
  }

  opened(stream: Stream): void {
    this.stream = stream;
    this.startedAt = performance.now();
    const request = Buffer.alloc(REQUEST);
    const isSized = "bytes" in this.amount;
    request[0] = this.kind === "get" ? (isSized ? GET_BYTES : GET_FOR) : isSized ? PUT_BYTES : PUT_FOR;
    request.writeDoubleBE("bytes" in this.amount ? this.amount.bytes : this.amount.ms, 8);
    if (stream.write(request) < REQUEST) return this.end(0, "the request was not taken");
    if (this.kind === "put") {
      this.sender = new Sender("bytes" in this.amount ? this.amount.bytes : Number.POSITIVE_INFINITY);
      this.writable();
    } else if ("ms" in this.amount)
      setTimeout(() => this.judge(this.receiver.bytes, this.receiver.digest(), true), this.amount.ms);
    else stream.end();
  }

  data(bytes: Uint8Array): void {
    if (this.isDone) return;
    if (this.kind === "get") return this.receiver.take(bytes);
    this.answer = Buffer.concat([this.answer, bytes]);
    if (this.answer.length >= REPORT && "ms" in this.amount) this.judgeReport();
  }

  writable(): void {
    if (this.isDone || this.hasSentAll || this.sender === undefined || !this.sender.pump(this.stream!)) return;
    this.hasSentAll = true;
    this.stream!.end();
  }

  ended(): void {
    if (this.isDone) return;
    if (this.kind === "put") return this.judgeReport();
    const { bytes } = this.receiver;
    if ("bytes" in this.amount && bytes !== this.amount.bytes)
      this.end(bytes, `${bytes} of ${this.amount.bytes} bytes came`);
    else this.judge(bytes, this.receiver.digest(), false);
  }

  closed(reason: string | undefined): void {
    this.end(this.receiver.bytes, reason ?? "it was closed too early");
  }

  private judgeReport(): void {
    if (this.answer.length < REPORT) return this.end(0, `the answer has ${this.answer.length} bytes`);
    const bytes = this.answer.readDoubleBE(0);
    if ("bytes" in this.amount && bytes !== this.amount.bytes)
      this.end(bytes, `${bytes} of ${this.amount.bytes} bytes arrived`);
    else this.judge(bytes, this.answer.subarray(8, REPORT), "ms" in this.amount);
  }

  private judge(bytes: number, digest: Buffer, breakOff: boolean): void {
    if (this.isDone) return;
    const ms = performance.now() - this.startedAt;
    this.isDone = true;
    if (breakOff) this.stream!.abort();
    const problem = digest.equals(patternDigest(bytes)) ? undefined : `the SHA-256 of ${bytes} bytes is another`;
    this.done({ bytes, ms: "ms" in this.amount ? this.amount.ms : ms, problem });
  }

  private end(bytes: number, problem: string): void {
    if (this.isDone) return;
    this.isDone = true;
    this.stream?.abort();
    this.done({ bytes, ms: performance.now() - this.startedAt, problem });
  }
}
