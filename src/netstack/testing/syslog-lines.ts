/** For tests: lines of text that wait. */
import { ascii } from "../../lib/bytes.ts";
import type { SyslogLines } from "../syslog/lines.ts";

export class TestLines implements SyslogLines {
  settled = 0;
  readonly #lines: string[] = [];
  #taken = 0;

  add(...lines: readonly string[]): void {
    this.#lines.push(...lines);
  }

  get hasNext(): boolean {
    return this.#taken < this.#lines.length;
  }

  take(): Uint8Array | undefined {
    const line = this.#lines[this.#taken];
    if (line !== undefined) this.#taken++;
    return line === undefined ? undefined : ascii(line);
  }

  settle(n: number): void {
    if (n > this.#taken) throw new Error(`${n} of ${this.#taken} settled`);
    this.#lines.splice(0, n);
    this.#taken -= n;
    this.settled += n;
  }

  rewind(): void {
    this.#taken = 0;
  }
}
