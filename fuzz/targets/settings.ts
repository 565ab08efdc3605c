/** appliance.toml: a problem names a line of the file. */
import { parseSettings } from "../../src/appliance/settings/parse.ts";
import { decodeUtf8 } from "../../src/protocol/config/utf8.ts";
import type { Target } from "../target.ts";

export const settings: Target = {
  run(input, seen) {
    const text = decodeUtf8(input);
    const result = parseSettings("appliance.toml", text);
    if (result.ok)
      return seen(
        JSON.stringify(result.settings)
          .replace(/[0-9.:]+/g, "#")
          .slice(0, 60),
      );
    const lines = text.split(/\r\n|\r|\n/).length;
    for (const { origin, directive, problem } of result.problems) {
      if (!(origin.line >= 1 && origin.line <= lines + 1))
        throw new Error(`line ${origin.line} of ${lines}: ${problem}`);
      seen(`${directive.slice(0, 12)}: ${problem.slice(0, 16)}`);
    }
  },
};
