/** What the TLS library says to the material and lists of a profile, before there is a server: problems at their line. */
import type { ClientConfig, ConfigProblem } from "../../protocol/config/types.ts";
import { tlsParameters } from "../../protocol/exchange/tls-parameters.ts";
import { tls12Ciphers } from "./tls-ciphers.ts";
import { secureContext } from "./tls-material.ts";
import { UnusableTls } from "./tls-unusable.ts";

export interface TlsCheck {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

/** A key of another certificate, a wrong pass phrase, a list without anything that the library has. */
export function checkTls({ tls, verify, file }: Pick<ClientConfig, "tls" | "verify" | "file">): TlsCheck {
  const at = (directive: string): ConfigProblem["origin"] => tls.origins?.[directive] ?? { file, line: 1 };
  try {
    secureContext(tlsParameters(tls, verify));
  } catch (error) {
    const problem =
      error instanceof UnusableTls
        ? {
            origin: error.material?.origin ?? at(error.directive),
            directive: error.directive,
            problem: error.problem,
          }
        : { origin: { file, line: 1 }, directive: "tls", problem: (error as Error).message };
    return { problems: [problem], warnings: [] };
  }
  if (tls12Ciphers(tls.cipherList) !== undefined) return { problems: [], warnings: [] };
  const problem = "none of these ciphers of TLS 1.2 is available, so that only TLS 1.3 is offered";
  return { problems: [], warnings: [{ origin: at("tls-cipher"), directive: "tls-cipher", problem }] };
}
