/** Why the status page did not do what a request asked for, with what an operator should think of that. */
import { Counters } from "../../lib/counters.ts";

export const PAGE_DROPS = {
  "wrong-host":
    "A request to the status page named another host than this router: a name of somebody's leads to its address (DNS rebinding), or it was asked by a name that it does not know (421).",
  "unknown-page": "A request for a page that the status page does not have (404).",
  "wrong-method": "A request with a method that its page does not take (405).",
  "cross-site": "A command that did not come from the page itself, nor from a program that says what it does (403).",
  "commands-off": "A command, and commands are off (403); [status] commands = true turns them on.",
  "bad-command": "A command that says nothing that can be done (400).",
  "wrong-login": "A command with a user or a password that is wrong, or without one (403).",
  "login-blocked": "A command while too many wrong passwords had been tried (429).",
} as const;
export type PageDrop = keyof typeof PAGE_DROPS;

const NAMES = Object.keys(PAGE_DROPS) as PageDrop[];

export class PageDrops extends Counters<PageDrop> {
  constructor() {
    super(NAMES);
  }

  drop(name: PageDrop): void {
    this.bump(NAMES.indexOf(name));
  }
}
