import { expect, test } from "bun:test";
import { parseClientFile } from "./client-file.ts";
import { parseConfig } from "./parse.ts";
import { pushRemark } from "./push-remark.ts";

test("a misspelled option is told, with the one that may be meant", () => {
  expect(pushRemark("rute 10.0.0.0 255.0.0.0")).toBe(
    '"rute" is no option of OpenVPN, and clients pass over it; route may be meant',
  );
  expect(pushRemark(" redirect-gatway def1")).toContain("; redirect-gateway may be meant");
  expect(pushRemark("frobnicate\u001b 1")).toMatch(
    /^"frobnicate[ -~]*" is no option of OpenVPN, and clients pass over it$/,
  );
});

test.each([
  ...[
    "route 10.0.0.0 255.0.0.0",
    "redirect-gateway def1 ipv6",
    "dhcp-option DNS 9.9.9.9",
    "dns server 0 address 9.9.9.9",
  ],
  ...["block-outside-dns", "sndbuf 393216", "echo anything", "setenv-safe NAME value", "setenv opt frobnicate 1"],
  ...["comp-lzo no", "compress stub-v2", "auth-token-user dXNlcg==", "push-continuation 1", "explicit-exit-notify 1"],
  ...["register-dns", "ip-win32 dynamic", "route-ipv6 2000::/3", "inactive 600", "block-ipv6", "topology subnet"],
])("nothing is told of %s", (option) => {
  expect(pushRemark(option)).toBeUndefined();
});

test("it is a warning at its line, of everybody's options and of one client's, and they are pushed as they stand", () => {
  const text = "mode server\ntls-server\ndev tun\nifconfig 10.8.0.1 10.8.0.2\n" + 'push "rute 10.0.0.0 255.0.0.0"\n';
  const { warnings } = parseConfig({ file: "s.conf", text }, () => undefined);
  expect(warnings.filter(({ directive }) => directive === "push").map(({ origin }) => origin.line)).toEqual([5]);
  const one = parseClientFile({ file: "ccd/ann", text: 'disable\npush "rute 10.0.0.0 255.0.0.0"\n' }, () => undefined);
  expect(one.warnings).toMatchObject([{ origin: { file: "ccd/ann", line: 2 }, directive: "push" }]);
  expect(one.ok && one.file.push).toEqual([{ kind: "add", option: "rute 10.0.0.0 255.0.0.0" }]);
});
