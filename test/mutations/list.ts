/** Every check that guards security and every timer, as the edit that takes it out. `npm run mutate` proves that a test sees each. */
import { WIRE } from "./list/wire.ts";
import type { Mutation } from "./mutation.ts";

export const MUTATIONS: readonly Mutation[] = [...WIRE];
