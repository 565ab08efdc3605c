/** `npm run check`: types and lint. */
import { commandLine } from "./command-line.ts";
import { checks, endWithMe, finish, newTally } from "./steps.ts";

commandLine("usage: npm run check\n\nTypes of the core, types, lint, no unfinished merge.", {});
const tally = newTally();
endWithMe();
await checks(tally);
finish(tally);
