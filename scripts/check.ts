/** `npm run check`: types and lint. */
import { checks, endWithMe, finish, newTally } from "./steps.ts";

const tally = newTally();
endWithMe();
await checks(tally);
finish(tally);
