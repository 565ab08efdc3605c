import { beforeEach, expect, test } from "bun:test";
import { ServerReport } from "./server-report.ts";

const listener = { isListening: false };
let report: ServerReport;
beforeEach(() => {
  listener.isListening = false;
  report = new ServerReport(listener);
});
/** Its ports are open. */
function open(now: number): void {
  listener.isListening = true;
  report.opened(now, undefined);
}

test("clients can come while a port is open and there is a network; since when, and why not, is told", () => {
  expect(report.status).toEqual({ state: "waiting", isUp: false, since: undefined, reason: undefined });
  report.networkUp(10);
  open(20);
  expect(report.status).toEqual({ state: "listening", isUp: true, since: 20, reason: undefined });
  report.networkDown(30, "the cable is unplugged");
  expect(report.status).toEqual({ state: "waiting", isUp: false, since: 30, reason: "the cable is unplugged" });
  report.networkUp(40);
  open(41);
  expect(report.status).toEqual({ state: "listening", isUp: true, since: 40, reason: undefined });
});

test("another network ends nothing", () => {
  report.networkUp(10);
  open(20);
  report.networkUp(30);
  expect(report.status).toMatchObject({ isUp: true, since: 20 });
});

test("where no port can be opened it has failed, and why, also when there is another network", () => {
  report.networkUp(10);
  report.opened(20, "the local port 1194 is in use");
  const failed = { state: "failed", isUp: false, since: undefined, reason: "the local port 1194 is in use" } as const;
  expect(report.status).toEqual(failed);
  report.networkUp(30);
  report.opened(30, undefined);
  expect(report.status).toEqual(failed);
});

test("one that has stopped is not up", () => {
  report.networkUp(10);
  open(20);
  listener.isListening = false;
  expect(report.status).toMatchObject({ state: "waiting", isUp: false });
});
