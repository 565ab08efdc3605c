/** What the senders of syslog send: lines that somebody keeps for them. */
export interface SyslogLines {
  /** Whether {@link take} has one. */
  readonly hasNext: boolean;
  /** The next line that was not taken yet, as a message of RFC 5424. */
  take(): Uint8Array | undefined;
  /** The first `n` of those that were taken have arrived, as far as anybody can know. */
  settle(n: number): void;
  /** Those that were taken and not settled are taken again. */
  rewind(): void;
}

/** What came of the sending, for the log. */
export type SyslogEvent =
  /** The collector is there, and takes lines. */
  | "reached"
  /** Nobody listens at its port. */
  | "refused"
  /** It does not answer. */
  | "silent"
  /** The connection was ended by the collector, or broke. */
  | "ended";
