/** What a server's profile, its clients' files and its users are checked for before anybody is served. */
import { mutationsOf } from "../mutation.ts";

export const SERVER_CONFIG = [
  ...mutationsOf(
    "platform/config/server-files.ts",
    [
      'if (clientCert !== "require" && !hasUsers)',
      'if (clientCert === "none" && !hasUsers)',
      "that certificates which are optional are not all that is asked for",
    ],
    [
      'if (clientCert !== "require" && !hasUsers)',
      'if (clientCert === "optional" && !hasUsers)',
      "that somebody is asked for something where no certificate is",
    ],
    [
      'else if (clientCert === "none" && passwordOptional)',
      "else if (false as boolean)",
      "that a password is not optional where no certificate is asked for",
    ],
    [
      "  if (entry.usernameAsCommonName)\n",
      "  if (false as boolean)\n",
      "that a name which nobody is asked for does not count",
    ],
    [
      "    if (parsed.ok) clients.set(client, parsed.file);\n    else problems.push(...parsed.problems);\n",
      "    if (parsed.ok) clients.set(client, parsed.file);\n",
      "that a client's file with a problem keeps the server from serving",
    ],
    [
      '  return path.startsWith("..") ? undefined : path;\n',
      "  return path;\n",
      "that client-config-dir and the file of leases lead nowhere but into the configuration",
    ],
    [
      "  problems.push(...parsed.problems);\n  return undefined;\n",
      "  return undefined;\n",
      "that a file of users with a problem keeps the server from serving",
    ],
  ),
  ...mutationsOf(
    "protocol/config/client-file.ts",
    ['isDisabled: reader.has("disable"),', "isDisabled: false,", "disable of a client's file"],
    ['if (name === "push-reset") return [{ kind: "reset" }];', "", "push-reset of a client's file"],
    ["  if (text.length > MAX_BYTES)\n", "  if (false as boolean)\n", "the bound of a client's file"],
  ),
  ...mutationsOf(
    "protocol/config/resolve-server-entry.ts",
    [
      'if (word !== undefined) forceCookie = word === "force-cookie";',
      "",
      "that force-cookie keeps out who cannot read a cookie",
    ],
    ["clientFileNeeded: exclusive !== undefined,", "clientFileNeeded: false,", "ccd-exclusive"],
    [
      "  if (exclusive && !folder) reader",
      "  if (false as boolean) reader",
      "that ccd-exclusive has a folder whose files count",
    ],
    [
      "  else if (written > 0 && written < 2 * handWindow)\n",
      "  else if (false as boolean)\n",
      "that a token outlives a handshake",
    ],
  ),
  ...mutationsOf(
    "protocol/config/resolve-server.ts",
    ['  if (option.includes(","))', "  if (false as boolean)", "that no comma makes two options of one that is pushed"],
    [
      '  if (mode && !["server", "server-ipv6", "server-bridge", "tls-server"].some((name) => reader.has(name)))\n',
      "  if (false as boolean)\n",
      "that mode server is a TLS server",
    ],
    [
      'connectFreqInitial: frequency(reader, "connect-freq-initial") ?? DEFAULTS.connectFreqInitial,',
      "connectFreqInitial: DEFAULTS.connectFreqInitial,",
      "connect-freq-initial",
    ],
  ),
  ...mutationsOf(
    "protocol/config/resolve-server-network.ts",
    [
      "  if (own && !(own.contains(first) && own.contains(last)))\n",
      "  if (false as boolean)\n",
      "that a pool is of the server's network",
    ],
    ["  if (bits < LEAST_BITS || bits > MOST_BITS)\n", "  if (false as boolean)\n", "the bounds of a tunnel's network"],
    ["  if (count > 1 << LEAST_BITS) return", "  if (false as boolean) return", "the bound of a pool"],
  ),
  ...mutationsOf("protocol/config/resolve-server-listen.ts", [
    'const isBoth = address === undefined && family === "ipv6" && !isIpv6Only;',
    'const isBoth = address === undefined && family === "ipv6";',
    "that bind ipv6only keeps to IPv6",
  ]),
  ...mutationsOf("appliance/settings/parse.ts", [
    '  return role === "server" && !values.has(key);\n',
    "  return false;\n",
    "that a server gives no leases unless it is told to",
  ]),
  ...mutationsOf("appliance/settings/cross-checks.ts", [
    '  if (values.has("vpn.nat")) values.fail("vpn.nat", remedy);\n',
    "",
    "that what a server does not heed is told",
  ]),
];
