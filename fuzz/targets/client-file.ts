/** Files of client-config-dir, and what is told of their addresses beside the tunnel's network. */
import { parseCidr } from "../../src/lib/cidr.ts";
import { parseClientFile } from "../../src/protocol/config/client-file.ts";
import { checkClientFiles } from "../../src/protocol/config/client-file-check.ts";
import type { Target } from "../target.ts";

const NETWORK = {
  topology: "subnet",
  address: parseCidr("10.8.0.1/24"),
  address6: parseCidr("fd00:8::1/64"),
  ...{ pool: undefined, pool6: undefined, persist: undefined, routes: [], push: [] },
} as const;

export const clientFile: Target = {
  run(input, seen) {
    const result = parseClientFile({ file: "ccd/c1", text: input }, () => undefined);
    const told = result.ok ? checkClientFiles(NETWORK, "tun", [result.file, result.file]) : result.problems;
    seen(result.ok ? "accepted" : "refused");
    for (const { directive, problem } of told) seen(`${directive}: ${problem.slice(0, 20)}`);
  },
};
