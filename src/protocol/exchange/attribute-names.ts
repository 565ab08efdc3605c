/** Attributes of names in certificates, as OpenSSL and with it profiles of OpenVPN call them. */

/** The number of the certificate: OpenVPN takes the long name of that attribute for it. */
export const SERIAL = "serialNumber";
/** The first e-mail address of the extension. */
export const ALT_NAME = "ext:subjectAltName";

/**
 * A field as a profile has it (OpenSSL's short or long name), as its short name; one in lower case stands for the same in upper case
 * (OpenVPN's options.c). undefined: there is no such attribute, or it is not available (ext:issuerAltName).
 */
export function usernameField(text: string): string | undefined {
  if (text === ALT_NAME) return text;
  const name = text === text.toLowerCase() ? text.toUpperCase() : text;
  if (name === SERIAL) return SERIAL;
  const short = LONG_NAMES.get(name) ?? name;
  return ATTRIBUTES.has(short) ? short : undefined;
}

/** OpenSSL's short names of attributes that the reader names otherwise or by number only. */
export const SHORT_NAMES: ReadonlyMap<string, string> = new Map([
  ["E", "emailAddress"],
  ["G", "GN"],
  ["I", "initials"],
  ["T", "title"],
  ["2.5.4.5", "serialNumber"],
  ["2.5.4.9", "street"],
  ["2.5.4.13", "description"],
  ["2.5.4.15", "businessCategory"],
  ["2.5.4.16", "postalAddress"],
  ["2.5.4.17", "postalCode"],
  ["2.5.4.18", "postOfficeBox"],
  ["2.5.4.19", "physicalDeliveryOfficeName"],
  ["2.5.4.20", "telephoneNumber"],
  ["2.5.4.23", "facsimileTelephoneNumber"],
  ["2.5.4.41", "name"],
  ["2.5.4.44", "generationQualifier"],
  ["2.5.4.45", "x500UniqueIdentifier"],
  ["2.5.4.46", "dnQualifier"],
  ["2.5.4.51", "houseIdentifier"],
  ["2.5.4.65", "pseudonym"],
  ["2.5.4.72", "role"],
  ["2.5.4.97", "organizationIdentifier"],
  ["0.9.2342.19200300.100.1.1", "UID"],
  ["0.9.2342.19200300.100.1.3", "mail"],
  ["0.9.2342.19200300.100.1.4", "info"],
  ["0.9.2342.19200300.100.1.9", "host"],
  ["0.9.2342.19200300.100.1.37", "associatedDomain"],
  ["1.2.840.113549.1.9.2", "unstructuredName"],
  ["1.2.840.113549.1.9.8", "unstructuredAddress"],
  ["1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL"],
  ["1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST"],
  ["1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC"],
]);

/** Attributes that the reader calls as OpenSSL does. */
const SAME_NAMES = ["CN", "C", "L", "ST", "O", "OU", "DC", "SN"];

const ATTRIBUTES: ReadonlySet<string> = new Set([...SAME_NAMES, ...SHORT_NAMES.values()]);

const LONG_NAMES: ReadonlyMap<string, string> = new Map([
  ["commonName", "CN"],
  ["countryName", "C"],
  ["localityName", "L"],
  ["stateOrProvinceName", "ST"],
  ["organizationName", "O"],
  ["organizationalUnitName", "OU"],
  ["domainComponent", "DC"],
  ["surname", "SN"],
  ["givenName", "GN"],
  ["userId", "UID"],
  ["streetAddress", "street"],
]);
