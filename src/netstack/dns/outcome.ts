/**
 * What becomes of a question for both families of a name's addresses: two tables over how far A (rows) and AAAA (columns)
 * have come. The one says what to do while something is open, the other how it ends.
 *
 * Once one family has addresses, the other is waited for only briefly, and its refusal is no failure. A refusal says nothing
 * about the name: another server is asked. This version connects over IPv4, so A is waited for longer than AAAA.
 */

/**
 * How far one family has come.
 *
 * waiting: nothing yet; refused: the server that was asked last would not or could not say; empty: the name is there and has
 * no address of this family; nxdomain: the name is not there; unusable: only addresses that no host can have; addresses: some
 */
export type Outcome = "waiting" | "refused" | "empty" | "nxdomain" | "unusable" | "addresses";

/** What to do next: wait for the end of the attempt, wait for that family only briefly, ask the next server, end. */
export type Step = "wait" | "brief-a" | "brief-aaaa" | "next" | "end";

/** How it ends. "unanswered": nobody said anything of use. */
export type End = "answer" | "nxdomain" | "no-address" | "unusable" | "unanswered";

type Table<T> = Readonly<Record<Outcome, Readonly<Record<Outcome, T>>>>;

const row = <T>(waiting: T, refused: T, empty: T, nxdomain: T, unusable: T, addresses: T): Record<Outcome, T> => ({
  waiting,
  refused,
  empty,
  nxdomain,
  unusable,
  addresses,
});

// biome-ignore format: a table
export const STEPS: Table<Step> = {
  //                   waiting       refused  empty   nxdomain  unusable  addresses
  waiting:   row<Step>("wait",       "wait",  "wait", "wait",   "wait",   "brief-a"),
  refused:   row<Step>("wait",       "next",  "next", "next",   "next",   "next"),
  empty:     row<Step>("wait",       "next",  "end",  "end",    "end",    "end"),
  nxdomain:  row<Step>("brief-aaaa", "next",  "end",  "end",    "end",    "end"),
  unusable:  row<Step>("brief-aaaa", "next",  "end",  "end",    "end",    "end"),
  addresses: row<Step>("brief-aaaa", "end",   "end",  "end",    "end",    "end"),
};

// biome-ignore format: a table
export const ENDS: Table<End> = {
  //                  waiting       refused       empty         nxdomain      unusable    addresses
  waiting:   row<End>("unanswered", "unanswered", "unanswered", "nxdomain",   "unusable", "answer"),
  refused:   row<End>("unanswered", "unanswered", "unanswered", "nxdomain",   "unusable", "answer"),
  empty:     row<End>("no-address", "no-address", "no-address", "no-address", "unusable", "answer"),
  nxdomain:  row<End>("nxdomain",   "nxdomain",   "nxdomain",   "nxdomain",   "unusable", "answer"),
  unusable:  row<End>("unusable",   "unusable",   "unusable",   "unusable",   "unusable", "answer"),
  addresses: row<End>("answer",     "answer",     "answer",     "answer",     "answer",   "answer"),
};
