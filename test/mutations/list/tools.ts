/** passwd, genkey and pki: what a key or a certificate is good for, and that nothing is overwritten or lost. */
import { mutationsOf } from "../mutation.ts";

export const TOOLS = [
  ...mutationsOf(
    "platform/sys/write-file.ts",
    ["!(replaces && before.isFile())", "!replaces", "that nothing but a plain file gives way"],
    ['openSync(path, "wx", mode)', 'openSync(path, "wx")', "that a secret file is for its owner alone"],
  ),
  ...mutationsOf(
    "platform/crypto/authority.ts",
    ["new ExtendedKeyUsageExtension([USAGE[usage]]),", "", "that a client's certificate is not good for a server"],
    ["new BasicConstraintsExtension(true, 0, true),", "", "that the authority is marked as one"],
    ["    if (!isOwn) throw", "    if (false as boolean) throw", "that the authority's key belongs to its certificate"],
    ["nextUpdate: this.notAfter,", "nextUpdate: new Date(now),", "that the list is good as long as the authority"],
    [
      "Math.min(now + CLIENT_DAYS * DAY, this.notAfter.getTime())",
      "now + CLIENT_DAYS * DAY",
      "that no certificate outlives the authority",
    ],
    [
      "thisUpdate: new Date(now - CLOCK_SLACK),",
      "thisUpdate: new Date(now + CLOCK_SLACK),",
      "that a list is good at once",
    ],
  ),
  ...mutationsOf(
    "cli/pki/pki.ts",
    [
      "    folder.writeRegister(register);\n    throw error;",
      "    throw error;",
      "that a failed attempt leaves no certificate behind",
    ],
    [
      "  if (counts !== undefined)\n    throw",
      "  if (false as boolean)\n    throw",
      "that a name has one certificate that counts",
    ],
    ["if (name === SERVER_NAME) return", "if (false as boolean) return", "that nobody is given the server's own name"],
  ),
  ...mutationsOf(
    "protocol/server/user-name.ts",
    ['if (name.includes(":"))', "if (false as boolean)", "that a name ends where the line says"],
    ["encodeUtf8(name).length > MAX_LOGIN_BYTES", "false as boolean", "the longest name"],
  ),
  ...mutationsOf("cli/check.ts", [
    'return within.startsWith("..") ? undefined : inside.read(within);',
    "return readPlainFile(join(top, within), MAX_FILE);",
    "that check reads nothing above the folder that an appliance.toml makes the top",
  ]),
];
