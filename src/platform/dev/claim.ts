/** One router to an interface: a second one would answer with the same addresses beside the first. */
import { claimName } from "../sys/exclusive.ts";

const nameOf = (index: number): string => `morgana-interface-${index}`;

/** @returns lets go of it @throws Error in words when another process has it */
export function claimInterface(name: string, index: number): () => void {
  const release = claimName(nameOf(index), name);
  if (release !== undefined) return release;
  throw new Error(
    `${name} is in use: another morgana appliance runs on it (ss -xap | grep ${nameOf(index)} says which process); stop that one first`,
  );
}
