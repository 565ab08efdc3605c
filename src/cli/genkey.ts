/** `morgana genkey`: keys in files as openvpn's own --genkey writes them. */
import { systemRandom } from "../platform/crypto/random.ts";
import { readFileOrPipe } from "../platform/sys/file.ts";
import { writeWhole } from "../platform/sys/write-file.ts";
import { unixSeconds } from "../platform/wall-clock.ts";
import { oneLine } from "../protocol/config/lexer.ts";
import {
  MAX_METADATA_BYTES,
  newClientKey,
  newNamedKey,
  newStaticKey,
  parseNamedKey,
  timestampMetadata,
  userMetadata,
} from "../protocol/control/key-file.ts";
import { noblePrimitives } from "../protocol/control/noble-primitives.ts";
import { readArguments } from "./arguments.ts";
import { usageError } from "./help.ts";

const HELP = `usage: morgana genkey TYPE [--force] [FILE]
       morgana genkey tls-crypt-v2-client --server-key F [--metadata TEXT] [--force] [FILE]

Makes a key as a file that OpenVPN reads, for its owner alone to read, or on stdout. TYPE:

  tls-auth, tls-crypt, secret   one key for all ends (for the directive of that name)
  tls-crypt-v2-server           of a server, with which the keys of its clients are wrapped
  tls-crypt-v2-client           of one client, for the server whose key file F is; TEXT is for the server to read
                                (by default the key says when it was made, which tls-crypt-v2-max-age needs)
  auth-token                    of a server, for auth-gen-token-secret

A file that is there already is only replaced with --force. Exit status: 0; 1 the file could not be written; 2 wrong usage.
`;

const TYPES = ["tls-auth", "tls-crypt", "secret", "tls-crypt-v2-server", "tls-crypt-v2-client", "auth-token"] as const;

const MAX_FILE = 1 << 16;
const PATIENCE_MS = 10_000;

/** @returns the exit status */
export function genkey(argv: string[]): number {
  const usage = (problem: string): number => usageError("genkey", problem);
  const read = readArguments("genkey", argv, HELP, {
    "server-key": { type: "string" },
    metadata: { type: "string" },
    force: { type: "boolean" },
  });
  if (typeof read === "number") return read;
  const { values, words } = read;
  const [word, file, ...more] = words;
  const type = TYPES.find((each) => each === word);
  if (word === undefined) return usage(`a TYPE is needed: ${TYPES.join(", ")}`);
  if (type === undefined) return usage(`"${oneLine(word)}" is no TYPE: ${TYPES.join(", ")}`);
  if (more.length > 0) return usage("one FILE at most");
  if (file === undefined && values.force) return usage("--force is for a FILE");
  let text: string;
  if (type === "tls-crypt-v2-client") {
    const made = clientKey(values["server-key"], values.metadata);
    if ("problem" in made) return usage(made.problem);
    text = made.text;
  } else {
    const stray = (["server-key", "metadata"] as const).find((name) => values[name] !== undefined);
    if (stray !== undefined) return usage(`--${stray} is for tls-crypt-v2-client`);
    const isNamed = type === "tls-crypt-v2-server" || type === "auth-token";
    text = isNamed ? newNamedKey(systemRandom, type) : newStaticKey(systemRandom);
  }
  if (file === undefined) {
    process.stdout.write(text);
    return 0;
  }
  try {
    writeWhole(file, text, { mode: 0o600, replaces: values.force ?? false });
    return 0;
  } catch (error) {
    const hint = values.force ? "" : " (--force replaces a file)";
    const { message } = error as Error;
    process.stderr.write(`morgana: genkey: ${oneLine(message)}${message.includes("is there already") ? hint : ""}\n`);
    return 1;
  }
}

function clientKey(server: string | undefined, metadata: string | undefined): { text: string } | { problem: string } {
  if (server === undefined) return { problem: "--server-key is needed: the file with the server's key" };
  const bytes = readFileOrPipe(server, MAX_FILE, PATIENCE_MS);
  if (typeof bytes === "string") return { problem: `${oneLine(server)} ${bytes}` };
  const key = parseNamedKey("tls-crypt-v2-server", new TextDecoder().decode(bytes));
  if (typeof key === "string") return { problem: `${oneLine(server)} ${key}` };
  const about = metadata === undefined ? timestampMetadata(unixSeconds()) : userMetadata(metadata);
  if (about.length > MAX_METADATA_BYTES + 1)
    return { problem: `the metadata is longer than ${MAX_METADATA_BYTES} bytes` };
  return { text: newClientKey(systemRandom, noblePrimitives, key, about) };
}
