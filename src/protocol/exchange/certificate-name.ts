/** Names in a certificate as OpenVPN forms them with OpenSSL (ssl_verify_openssl.c: x509_get_subject, backend_x509_get_username). */
import { ALT_NAME, SERIAL, shortName } from "./attribute-names.ts";
import type { Certificate } from "./certificate.ts";
import { isText, textOf } from "./der-text.ts";

/**
 * As OpenVPN prints it: "C=DE, O=Example, CN=server", in the certificate's order, with OpenSSL's short names, " + " inside
 * a multi-valued part, control characters as \\XX and a backslash doubled.
 */
export function opensslSubject(certificate: Certificate): string {
  const parts = certificate.subject.map((part) =>
    part.map(({ type, value }) => `${shortName(type)}=${escaped(textOf(value))}`).join(" + "),
  );
  return parts.join(", ").replace(/^-+/, (dashes) => "_".repeat(dashes.length));
}

/**
 * x509-username-field: of each attribute the last one, joined with "_", control characters as "_"; undefined where one is missing.
 * @param fields of {@link usernameField}
 */
export function userName(certificate: Certificate, fields: readonly string[]): string | undefined {
  const values = fields.map((field) => attribute(certificate, field));
  if (values.some((value) => value === undefined)) return undefined;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return values.join("_").replace(/[\u0000-\u001f\u007f]/g, "_");
}

function attribute(certificate: Certificate, field: string): string | undefined {
  if (field === SERIAL) return `0x${certificate.serial}`;
  if (field === ALT_NAME) return certificate.emailNames.findLast((name) => !name.includes("\0"));
  const last = certificate.subject.flat().findLast(({ type }) => shortName(type) === field);
  return last === undefined || !isText(last.value) ? undefined : textOf(last.value);
}

const escaped = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  text.replace(/[\u0000-\u001f\u007f\\]/g, (c) =>
    c === "\\" ? "\\\\" : `\\${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
