import { afterAll, expect, test } from "bun:test";
import { makeTlsPki } from "../../../test/support/tls-pki.ts";
import { parseConfig } from "../../protocol/config/parse.ts";
import type { ClientConfig } from "../../protocol/config/types.ts";
import { DateWatch } from "./date-watch.ts";

const pki = makeTlsPki();
afterAll(() => pki.remove());
const DAY_S = 86_400;
const START = Math.floor(Date.now() / 1000);

function config(): ClientConfig {
  const text = "client\ndev tun\nremote 192.0.2.1\nca ca.crt\ncert client.crt\nkey client.key\n";
  const result = parseConfig({ file: "x.ovpn", text }, (name) => pki.material(name).bytes, { roles: ["client"] });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

test("once a day what has run out is named, or will soon, of what runs by then", () => {
  const lines: string[] = [];
  let running: ClientConfig | undefined = config();
  let days = 0;
  const watch = new DateWatch(0, {
    log: { enabled: () => true, write: (level, event, text) => void lines.push(`${level} ${event} ${text}`) },
    config: () => running,
    unixSeconds: () => START + days * DAY_S,
  });
  const at = (day: number): string[] => {
    days = day;
    watch.poll(day * DAY_S * 1000);
    return lines.splice(0).map((line) => line.replace(/ on .*/, ""));
  };
  expect([watch.pollAt(), at(0.9), at(1), watch.pollAt()]).toEqual([DAY_S * 1000, [], [], 2 * DAY_S * 1000]);
  expect(at(25)).toEqual([
    "warn config.warning x.ovpn:5: cert: the certificate of CN=client expires",
    "warn config.warning x.ovpn:4: ca: the certificate of CN=ca expires",
  ]);
  expect([at(25.5).length, at(40)[0]]).toEqual([
    0,
    "warn config.warning x.ovpn:5: cert: the certificate of CN=client has expired",
  ]);
  running = undefined;
  expect(at(41)).toEqual([]);
});
