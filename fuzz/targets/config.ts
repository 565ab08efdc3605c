/** OpenVPN profiles; what is accepted, printed and read again is the same. */
import { formatConfig } from "../../src/protocol/config/format.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import { decodeUtf8 } from "../../src/protocol/config/utf8.ts";
import type { Target } from "../target.ts";

const read = (text: string) =>
  parseConfig({ file: "fuzz.ovpn", text }, () => undefined, {
    defaultCredentials: { text: "ann\npw\n", label: "auth.txt" },
  });

export const config: Target = {
  run(input, seen) {
    const result = read(decodeUtf8(input));
    if (!result.ok) {
      for (const { directive, problem } of result.problems) seen(`${directive}: ${problem.slice(0, 20)}`);
      return;
    }
    seen("accepted");
    const printed = formatConfig(result.config);
    const again = read(printed);
    if (!again.ok) throw new Error(`does not read back: ${JSON.stringify(again.problems)}\n${printed}`);
    if (formatConfig(again.config) !== printed) throw new Error(`reads back as something else:\n${printed}`);
  },
};
