/** `npm run check`: types and lint. */
import { checks, endWithMe, finish, type Tally } from "./steps.ts";

const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
endWithMe();
await checks(tally);
finish(tally);
