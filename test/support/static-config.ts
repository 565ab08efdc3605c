/** Profiles of two ends with the same static key. */
import { parseConfig } from "../../src/protocol/config/parse.ts";
import type { StaticConfig } from "../../src/protocol/config/types.ts";

const KEY = `<secret>\n-----BEGIN OpenVPN Static key V1-----\n${Array.from({ length: 16 }, (_, i) => `${i.toString(16).padStart(2, "0").repeat(16)}\n`).join("")}-----END OpenVPN Static key V1-----\n</secret>`;

export function staticConfig(direction: 0 | 1, lines: readonly string[] = []): StaticConfig {
  const own = ["dev tun", "remote 192.0.2.1", "cipher AES-128-CBC", `key-direction ${direction}`];
  const text = [...own, "ifconfig 10.8.0.2 10.8.0.1", ...lines, KEY];
  const result = parseConfig({ file: "x", text: text.join("\n") }, () => undefined, { roles: ["static"] });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
}
