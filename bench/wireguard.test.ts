import { expect, test } from "bun:test";
import { whyNot } from "./wireguard.ts";

test("why wireguard-go could not be built is said in words", () => {
  const old = "go: golang.zx2c4.com/wireguard@v0 requires go >= 1.23.1 (running go 1.19.8; GOTOOLCHAIN=local)\n";
  expect(whyNot(old)).toStartWith("it needs Go 1.23.1 or newer");
  expect(whyNot("note: module requires Go 1.23\n")).toStartWith("it needs Go 1.23 or newer");
  const away = 'go: module lookup disabled: Get "x": dial tcp: lookup example on 127.0.0.1:53: no such host\n';
  expect(whyNot(away)).toStartWith("the Go module proxy cannot be reached");
  expect(whyNot("a\ndisk full\n")).toBe("disk full");
});
