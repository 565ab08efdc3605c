/**
 * The log port. State changes are events with stable names ("tunnel.up"); everything else is a message of a level.
 * No secret is ever passed to it. The writer escapes control characters, so callers pass foreign text as it came.
 */
export type LogLevel = "error" | "warn" | "info" | "debug";

export const LOG_LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug"];

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  /** Whether a message of this level would be written: check it before building an expensive one. */
  enabled(level: LogLevel): boolean;
  /**
   * @param event stable dotted name, such as "tunnel.up"
   * @param message one sentence for a person; may be empty when the fields say all
   */
  write(level: LogLevel, event: string, message: string, fields?: LogFields): void;
}

/** What was written once, and when. */
export interface LogRecord {
  /** Milliseconds since 1970. */
  readonly unixMs: number;
  readonly level: LogLevel;
  readonly event: string;
  readonly message: string;
  readonly fields: LogFields;
}
