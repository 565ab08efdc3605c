/** Names in a certificate as OpenVPN forms them with OpenSSL (ssl_verify_openssl.c: x509_get_subject, backend_x509_get_username). */
import { SubjectAlternativeNameExtension, type X509Certificate } from "@peculiar/x509";
import { ALT_NAME, SERIAL, SHORT_NAMES } from "./attribute-names.ts";

/**
 * As OpenVPN prints it: "C=DE, O=Example, CN=server", in the certificate's order, with OpenSSL's short names, " + " inside
 * a multi-valued part, control characters as \\XX and a backslash doubled.
 */
export function opensslSubject(certificate: X509Certificate): string {
  const parts = subjectParts(certificate).map((part) =>
    part.map(([type, value]) => `${type}=${escaped(value)}`).join(" + "),
  );
  return parts.join(", ").replace(/^-+/, (dashes) => "_".repeat(dashes.length));
}

/**
 * x509-username-field: of each attribute the last one (of e-mail addresses the last without a NUL, as extract_x509_extension), joined with "_", control characters as "_"; undefined where one is missing.
 * @param fields of {@link usernameField}
 */
export function userName(certificate: X509Certificate, fields: readonly string[]): string | undefined {
  const values = fields.map((field) => attribute(certificate, field));
  if (values.some((value) => value === undefined)) return undefined;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return values.join("_").replace(/[\u0000-\u001f\u007f]/g, "_");
}

function attribute(certificate: X509Certificate, field: string): string | undefined {
  if (field === SERIAL) return `0x${certificate.serialNumber.toUpperCase()}`;
  if (field === ALT_NAME) {
    const names = certificate.getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
    return names.findLast(({ type, value }) => type === "email" && !value.includes("\0"))?.value;
  }
  return subjectParts(certificate)
    .flat()
    .findLast(([type]) => type === field)?.[1];
}

/** The relative distinguished names in order, each with its attributes (nearly always one). */
function subjectParts(certificate: X509Certificate): [string, string][][] {
  return certificate.subjectName
    .toJSON()
    .map((part) =>
      Object.entries(part).flatMap(([type, values]) =>
        values.map((value): [string, string] => [SHORT_NAMES.get(type) ?? type, value]),
      ),
    );
}

const escaped = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  text.replace(/[\u0000-\u001f\u007f\\]/g, (c) =>
    c === "\\" ? "\\\\" : `\\${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
