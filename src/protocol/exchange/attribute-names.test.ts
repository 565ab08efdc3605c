import { expect, test } from "bun:test";
import { usernameField } from "./attribute-names.ts";

test("a field by OpenSSL's short or long name, in lower case as in upper; what is no attribute is none", () => {
  for (const [text, name] of [
    ["CN", "CN"],
    ["cn", "CN"],
    ["commonName", "CN"],
    ["uid", "UID"],
    ["userId", "UID"],
    ["emailAddress", "emailAddress"],
    ["serialNumber", "serialNumber"],
    ["ext:subjectAltName", "ext:subjectAltName"],
    ["organizationalUnitName", "OU"],
  ] as const)
    expect(usernameField(text)).toBe(name);
  // As with OpenVPN: what has no capital is taken as written in capitals, and there is no EMAILADDRESS.
  for (const text of ["emailaddress", "ext:issuerAltName", "ext:foo", "X", ""])
    expect(usernameField(text)).toBeUndefined();
});
