/** Remotes that cannot work: left out where there are others, a problem where there are none. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parseConfig } from "./parse.ts";

const FILES = new URL("../../../test/configs/", import.meta.url).pathname;

/** @returns the remotes as HOST PROTOCOL, and what was said, without what it is said in */
function parse(lines: string): { remotes: string[]; said: string[] } {
  const text = `client\ndev tun\nca ca.crt\nremote-cert-tls server\n${lines}\n`;
  const result = parseConfig({ file: "f", text }, (name) => new Uint8Array(readFileSync(`${FILES}${name}`)), {
    roles: ["client"],
    defaultCredentials: { text: "ann\npw\n", label: "auth.txt" },
  });
  const said = (result.ok ? result.warnings : result.problems).map(
    ({ origin, directive, problem }) => `${origin.line} ${directive}: ${problem}`,
  );
  return {
    remotes: result.ok ? result.config.remotes.map(({ host, protocol }) => `${host} ${protocol}`) : [],
    said: said.filter((text) => /fragment|HTTP proxy|proto-force/.test(text)),
  };
}

const ONLY_UDP = "fragment is only for UDP; over TCP, which cuts packets by itself, remove one of the two";

test("fragment over TCP is a problem, as it is for openvpn; of several remotes only those are left out", () => {
  expect(parse("proto tcp\nremote 192.0.2.1\nfragment 1300")).toEqual({ remotes: [], said: [`5 proto: ${ONLY_UDP}`] });
  expect(parse("proto tcp\nremote 192.0.2.1\nfragment 0").remotes).toEqual(["192.0.2.1 tcp"]);
  expect(parse("remote 192.0.2.1\nremote 192.0.2.2 443 tcp\nremote 192.0.2.3 80 tcp\nfragment 1300")).toEqual({
    remotes: ["192.0.2.1 udp"],
    said: [`6 remote: skipped: ${ONLY_UDP} (and 1 more)`],
  });
  const own =
    "<connection>\nremote 192.0.2.2 443 tcp\n</connection>\n<connection>\nremote 192.0.2.1\nfragment 1300\n</connection>";
  expect(parse(own)).toEqual({ remotes: ["192.0.2.2 tcp", "192.0.2.1 udp"], said: [] });
});

test("an HTTP proxy carries TCP only", () => {
  const proxy = "http-proxy 192.0.2.9 3128\n";
  const why = "an HTTP proxy carries TCP only (proto tcp)";
  expect(parse(`${proxy}remote 192.0.2.1`).said).toEqual([`6 remote: ${why}`]);
  expect(parse(`${proxy}remote 192.0.2.1\nremote 192.0.2.2 443 tcp`)).toEqual({
    remotes: ["192.0.2.2 tcp"],
    said: [`6 remote: skipped: ${why}`],
  });
});
