/** The way to a collector, whatever it is. */
import type { SyslogEvent } from "../../netstack/syslog/lines.ts";

export interface Collector {
  /** Lines are under way or can go, so that it is worth waiting before the end. */
  readonly isBusy: boolean;
  /** What was done, and what was lost on the way. */
  readonly counts: Readonly<Record<string, number>>;
  readonly drops: Readonly<Partial<Record<SyslogDrop, number>>>;
  pollAt(): number;
  /** Sends what can go. */
  poll(now: number): void;
  pollEvent(): SyslogEvent | undefined;
  /** Lets go of what it has. @param isEnd what waits goes first, as far as it can, as there is no later */
  close(now: number, isEnd: boolean): void;
}

export const SYSLOG_DROPS = {
  "no-room":
    "A line of the log found no room among those that wait for the collector, which was not there or too slow.",
  refused: "A line that was sent to the collector over UDP: its host said that nobody listens there.",
} as const;
export type SyslogDrop = keyof typeof SYSLOG_DROPS;
