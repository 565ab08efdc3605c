/**
 * The log on a console, one record a line:
 *
 *     2026-01-01T00:00:00.000Z info tunnel.up address=10.8.0.2 cipher=AES-256-GCM the tunnel is up
 *     {"time":"2026-01-01T00:00:00.000Z","level":"info","event":"tunnel.up","address":"10.8.0.2","message":"the tunnel is up"}
 *
 * Whatever came from outside cannot start a line, move the cursor or reorder the text: control characters are escaped. Nor can it
 * make a line so long that it finds no room in what lies behind (line-sink.ts): a longer text is cut, and says so.
 */
import { LOG_LEVELS, type Log, type LogFields, type LogLevel, type LogRecord } from "../../lib/log.ts";
import { recordText, UNSAFE } from "./record-text.ts";

export type LogFormat = "text" | "json";

export interface ConsoleLogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Takes one whole line, with its newline. */
  readonly write: (line: string) => void;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Told of each record that is written, with its texts as bounded as in the line. */
  readonly onRecord?: ((record: LogRecord) => void) | undefined;
}

export class ConsoleLog implements Log {
  readonly #write: (line: string) => void;
  readonly #clock: () => number;
  readonly #format: LogFormat;
  readonly #onRecord: ConsoleLogOptions["onRecord"];
  #rank: number;

  constructor(options: ConsoleLogOptions) {
    this.#write = options.write;
    this.#clock = options.clock;
    this.#format = options.format;
    this.#onRecord = options.onRecord;
    this.#rank = LOG_LEVELS.indexOf(options.level);
  }

  setLevel(level: LogLevel): void {
    this.#rank = LOG_LEVELS.indexOf(level);
  }

  enabled(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) <= this.#rank;
  }

  write(level: LogLevel, event: string, message: string, fields: LogFields = {}): void {
    if (!this.enabled(level)) return;
    const unixMs = this.#clock();
    const time = new Date(unixMs).toISOString();
    const [short, some] = withinBounds(message, fields);
    const line =
      this.#format === "json"
        ? jsonLine(time, level, event, short, some)
        : `${time} ${level} ${recordText(event, short, some)}`;
    this.#write(`${line}\n`);
    this.#onRecord?.({ unixMs, level, event, message: short, fields: some });
  }
}

/**
 * Our choices, in characters: of the message, of one field, of all texts of a record. An escaped character takes up to six, so that
 * with its numbers a line stays below the 64 KiB of the queue.
 */
const MAX_MESSAGE = 4096;
const MAX_FIELD = 1024;
const MAX_TEXTS = 8192;

function withinBounds(message: string, fields: LogFields): readonly [string, LogFields] {
  let left = MAX_TEXTS - Math.min(message.length, MAX_MESSAGE);
  const some = Object.entries(fields).map(([name, value]) => {
    if (typeof value !== "string") return [name, value];
    const text = cut(value, Math.min(MAX_FIELD, left));
    left = Math.max(0, left - text.length);
    return [name, text];
  });
  return [cut(message, MAX_MESSAGE), Object.fromEntries(some)];
}

const cut = (text: string, most: number): string =>
  text.length <= most ? text : `${text.slice(0, most)}[... ${text.length - most} characters more]`;

/** The record's own four names win over a field of the same name. */
function jsonLine(time: string, level: LogLevel, event: string, message: string, fields: LogFields): string {
  const { time: _t, level: _l, event: _e, message: _m, ...rest } = fields;
  const record = { time, level, event, ...rest, ...(message === "" ? {} : { message }) };
  // JSON.stringify leaves DEL, C1 and the bidirectional controls as they are; \uXXXX is what they are in JSON
  return JSON.stringify(record).replace(UNSAFE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
