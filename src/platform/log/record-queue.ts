/**
 * Records of the log on their way to a collector elsewhere, from the first one on: those that are written before anybody can be
 * told wait here, in bounds. What finds no room is lost and counted, and a record says how many those were once there is room again.
 *
 * What was taken stays until it is settled, so that it can be sent once more.
 */
import type { LogRecord } from "../../lib/log.ts";

/** Our choices, some 256 KiB: an hour of a quiet log, the statistics of many. */
const MOST_RECORDS = 1024;
const MOST_CHARACTERS = 128 * 1024;
/** What a record takes beside its texts. */
const RECORD_CHARACTERS = 64;
/** Of a sender's own records: what is said of the sending is not sent, or the lines would feed themselves. */
const OWN = "syslog.";

export class RecordQueue {
  /** Of all times. */
  lost = 0;
  #records: LogRecord[] = [];
  /** How many of the first ones were taken. */
  #taken = 0;
  #characters = 0;
  #isOpen = true;
  /** Since there was room the last time, and when the last of them was written. */
  #untold = 0;
  #untoldAt = 0;

  /** How many wait, with those that were taken and not settled. */
  get length(): number {
    return this.#records.length;
  }

  /** Whether {@link take} has one. */
  get hasNext(): boolean {
    return this.#taken < this.#records.length || this.#untold > 0;
  }

  /** Nobody is to be told: nothing is kept from now on until {@link open}. */
  close(): void {
    this.#isOpen = false;
    this.#records = [];
    this.#taken = 0;
    this.#characters = 0;
    this.#untold = 0;
  }

  open(): void {
    this.#isOpen = true;
  }

  push(record: LogRecord): void {
    if (!this.#isOpen || record.event.startsWith(OWN)) return;
    // Behind a loss it begins again with half of the room, so that few records tell of losses.
    const part = this.#untold > 0 ? 0.5 : 1;
    const isFull =
      this.#records.length >= MOST_RECORDS * part || this.#characters + sizeOf(record) > MOST_CHARACTERS * part;
    if (isFull) {
      this.lost++;
      this.#untold++;
      this.#untoldAt = record.unixMs;
      return;
    }
    this.#tellLoss();
    this.#add(record);
  }

  /** The next one that was not taken yet. */
  take(): LogRecord | undefined {
    if (this.#taken === this.#records.length) this.#tellLoss();
    const record = this.#records[this.#taken];
    if (record !== undefined) this.#taken++;
    return record;
  }

  /** The first `n` of those that were taken need not be kept any longer. */
  settle(n: number): void {
    for (const record of this.#records.splice(0, n)) this.#characters -= sizeOf(record);
    this.#taken -= n;
  }

  /** What was taken and not settled is taken again. */
  rewind(): void {
    this.#taken = 0;
  }

  #tellLoss(): void {
    if (this.#untold === 0) return;
    const message = "lines of the log were lost: more were written than could be sent";
    const fields = { lines: this.#untold };
    this.#untold = 0;
    this.#add({ unixMs: this.#untoldAt, level: "warn", event: `${OWN}lost`, message, fields });
  }

  #add(record: LogRecord): void {
    this.#records.push(record);
    this.#characters += sizeOf(record);
  }
}

function sizeOf({ event, message, fields }: LogRecord): number {
  let size = RECORD_CHARACTERS + event.length + message.length;
  for (const [name, value] of Object.entries(fields)) size += name.length + String(value).length;
  return size;
}
