import { expect, test } from "bun:test";
import { alertMeaning, certificateMeaning, protocolMeaning } from "./tls-meaning.ts";

test("codes of one cause mean the same, and one that is not known nothing, whatever it is called", () => {
  expect(certificateMeaning("DEPTH_ZERO_SELF_SIGNED_CERT")).toBe(certificateMeaning("UNABLE_TO_GET_ISSUER_CERT"));
  expect([alertMeaning("certificate_required"), protocolMeaning("wrong_curve")]).toEqual(["wanted", "cipher"]);
  for (const meaning of [certificateMeaning, alertMeaning, protocolMeaning])
    for (const code of ["", "unheard_of", "constructor", "__proto__"]) expect(meaning(code)).toBeUndefined();
});
