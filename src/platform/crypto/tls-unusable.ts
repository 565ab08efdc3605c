import type { Material } from "../../protocol/config/types.ts";

/** Own TLS material, or a setting of the profile, that the TLS library cannot work with; in words for a person. */
export class UnusableTls extends Error {
  readonly directive: string;
  readonly problem: string;
  /** Where it stands, if it is no setting. */
  readonly material: Material | undefined;

  constructor(directive: string, problem: string, material?: Material) {
    super(`${directive}: ${problem}`);
    this.directive = directive;
    this.problem = problem;
    this.material = material;
  }
}
