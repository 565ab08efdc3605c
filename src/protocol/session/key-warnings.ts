/** What a person should know of the data channel that two ends have agreed on. */
import type { ClientConfig } from "../config/types.ts";
import { COMPRESSION, type CompressionAlgorithm } from "../data/compression.ts";
import { type Decompressors, isAead } from "../ports.ts";
import { type Pushed, serverMismatches } from "../push/collect.ts";

export const COMPRESSED_DATA =
  "the server compresses what it sends, and what is compressed is lost here: turn compression off on the server";

const OLD_CIPHER =
  "which is not as strong and fast as AES-256-GCM: add AES-256-GCM to data-ciphers on the server, and to the profile if it names any";

/** The libraries that are looked for at run time, with Debian's names of their packages. */
const LIBRARIES: Readonly<Record<CompressionAlgorithm, string>> = {
  lzo: "liblzo2.so.2 (Debian: apt install liblzo2-2)",
  lz4: "liblz4.so.1 (Debian: apt install liblz4-1)",
};

export function keyWarnings(
  pushed: Pushed,
  config: Pick<ClientConfig, "data" | "deviceType">,
  peerOptions: string,
  decompressors: Decompressors,
): string[] {
  const { cipher, compression } = pushed;
  const texts = serverMismatches(pushed, config, peerOptions);
  if (!isAead(cipher)) texts.push(`the server wants ${cipher}, ${OLD_CIPHER}`);
  const { algorithm } = COMPRESSION[compression];
  if (algorithm !== undefined && decompressors[algorithm] === undefined)
    texts.push(
      `${compression}: what the server compresses cannot be read without ${LIBRARIES[algorithm]}, which is not there`,
    );
  return texts;
}
