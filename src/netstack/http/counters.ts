/** What an HTTP server did, and what it did not do, with what an operator should think of that. */
import { Counters } from "../../lib/counters.ts";

export const HTTP_DROPS = {
  "crowded-out": "A connection that had asked nothing yet gave way to another one, because too many were open.",
  "no-room": "A connection was refused: as many as there may be were in the midst of an answer.",
  slow: "A request that was not whole in time; the connection was ended.",
  malformed: "A request that is none, or is larger than any that is served.",
  limited: "A host asked more often than is answered; it was told to come again (429).",
  busy: "An answer was not sent, because too much of other ones waited for slow readers (503).",
  late: "An answer was not ready in time (503).",
  unread: "An answer that its reader did not take in time; the connection was broken off.",
} as const;
export type HttpDrop = keyof typeof HTTP_DROPS;

const COUNTS = ["connections", "requests", "answers"] as const;
export type HttpCount = (typeof COUNTS)[number];

const DROP_NAMES = Object.keys(HTTP_DROPS) as HttpDrop[];

export class HttpCounters {
  readonly counts = new Counters<HttpCount>(COUNTS);
  readonly drops = new Counters<HttpDrop>(DROP_NAMES);

  count(name: HttpCount): void {
    this.counts.bump(COUNTS.indexOf(name));
  }

  drop(name: HttpDrop): void {
    this.drops.bump(DROP_NAMES.indexOf(name));
  }
}
