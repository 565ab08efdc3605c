/** The status page as the LAN has it: what a turn of it costs. */
import { expect, test } from "bun:test";
import { statusReport } from "../../../test/support/status-report.ts";
import { ascii } from "../../lib/bytes.ts";
import { parseIp } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import { TcpPair } from "../../netstack/testing/tcp-pair.ts";
import { tellTcpUsers } from "../wiring/tcp-users.ts";
import { StatusSide } from "./status-side.ts";

const LOG = { enabled: () => false, write: () => {} };
const OWN = parseIp("10.0.0.2")!;

test("however many ask at once, a turn makes one report, and the next turn is due at once", () => {
  const pair = new TcpPair();
  let reports = 0;
  const side = new StatusSide(
    {
      ...{ tcp: pair.b.tcp, port: 80, random: seededRandom(1), log: LOG, hostname: "morgana", domain: undefined },
      ...{ addresses: [OWN], commands: () => undefined, unixSeconds: () => 0 },
      report: () => {
        reports++;
        return statusReport();
      },
    },
    { commands: false, users: undefined },
  );
  const asking = Array.from({ length: 5 }, () => {
    const c = pair.a.tcp.connect(pair.now, { address: OWN, port: 80 }, { receiveBuffer: 16_384 });
    if (typeof c === "string") throw new Error(c);
    return c;
  });
  const pass = (): void => {
    pair.pass(20);
    tellTcpUsers(pair.now, pair.b.tcp);
  };
  pair.a.outlet.flush();
  pass();
  side.poll(pair.now);
  for (const c of asking) c.writeBytes(ascii("GET /status.json HTTP/1.1\r\nHost: 10.0.0.2\r\n\r\n"));
  pass();
  for (let turn = 1; turn <= asking.length; turn++) {
    expect(side.pollAt()).toBeLessThan(pair.now);
    side.poll(pair.now);
    expect(reports).toBe(turn);
  }
  pass();
  for (const c of asking) {
    const out = new Uint8Array(4096);
    expect(String.fromCharCode(...out.subarray(0, c.read(out)))).toStartWith("HTTP/1.1 200 OK");
  }
});
