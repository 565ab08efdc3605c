/** The records that wait for a collector as the lines that a sender sends. */
import type { SyslogLines } from "../../netstack/syslog/lines.ts";
import type { RecordQueue } from "../../platform/log/record-queue.ts";
import { syslogMessage } from "./format.ts";

export class LogLines implements SyslogLines {
  readonly #records: RecordQueue;
  readonly #hostname: string;
  readonly #most: number;

  /** @param most bytes of a line */
  constructor(records: RecordQueue, hostname: string, most: number) {
    this.#records = records;
    this.#hostname = hostname;
    this.#most = most;
    records.rewind();
  }

  get hasNext(): boolean {
    return this.#records.hasNext;
  }

  take(): Uint8Array | undefined {
    const record = this.#records.take();
    return record && syslogMessage(record, this.#hostname, this.#most);
  }

  settle(n: number): void {
    this.#records.settle(n);
  }

  rewind(): void {
    this.#records.rewind();
  }
}
