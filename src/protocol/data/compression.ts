/**
 * What `comp-lzo` and `compress` ask for, in each of their forms. Nothing is ever compressed here; what the peer compresses is
 * read. Both ends must have the same form, since it is not negotiated. Source: OpenVPN's comp.h and options.c.
 */

/** As the line is written; "none": there is no line, or one that means none (`compress migrate` of a client). */
export type CompressionForm =
  | "none"
  | "comp-lzo"
  | "comp-lzo no"
  | "compress stub"
  | "compress stub-v2"
  | "compress lz4"
  | "compress lz4-v2";

/** How packets are framed (framing.ts). */
export type CompressionFraming = "none" | "byte" | "swap" | "v2";
export type CompressionAlgorithm = "lzo" | "lz4";

interface Form {
  readonly framing: CompressionFraming;
  /** What the peer may compress with. */
  readonly algorithm: CompressionAlgorithm | undefined;
}

export const COMPRESSION: Readonly<Record<CompressionForm, Form>> = Object.freeze({
  none: { framing: "none", algorithm: undefined },
  "comp-lzo": { framing: "byte", algorithm: "lzo" },
  "comp-lzo no": { framing: "byte", algorithm: undefined },
  "compress stub": { framing: "swap", algorithm: undefined },
  "compress stub-v2": { framing: "v2", algorithm: undefined },
  "compress lz4": { framing: "swap", algorithm: "lz4" },
  "compress lz4-v2": { framing: "v2", algorithm: "lz4" },
});

/** Their parameters, which may be missing. */
export const COMP_LZO_WORDS = ["yes", "no", "adaptive"] as const;
export const COMPRESS_WORDS = ["lzo", "lz4", "lz4-v2", "stub", "stub-v2", "migrate"] as const;

/** The form that a line means. @returns undefined: no such parameter */
export function compressionForm(
  directive: "comp-lzo" | "compress",
  word: string | undefined,
): CompressionForm | undefined {
  if (directive === "comp-lzo") {
    if (word === "no") return "comp-lzo no";
    return word === undefined || word === "yes" || word === "adaptive" ? "comp-lzo" : undefined;
  }
  switch (word) {
    case undefined:
    case "stub":
      return "compress stub";
    case "lzo":
      return "comp-lzo";
    case "lz4":
    case "lz4-v2":
    case "stub-v2":
      return `compress ${word}`;
    case "migrate":
      return "none";
    default:
      return undefined;
  }
}
