/** What the watch of the links sees from one look to the next. */
import { expect, test } from "bun:test";
import { Counters } from "../lib/counters.ts";
import type { FrameDevice } from "../platform/dev/frame-device.ts";
import { LinkWatch } from "./link-watch.ts";
import type { RouterPath } from "./wiring/router.ts";

test("an MTU that is set while it runs is followed both ways, and said; that of an interface that is gone is left", () => {
  const mtus: Record<string, number | undefined> = { w0: 1500, l1: 1500 };
  const device = (name: string): FrameDevice =>
    ({
      name,
      mtu: 1500,
      mtuNow: () => mtus[name],
      linkUp: () => true,
      counters: new Counters([]),
    }) as unknown as FrameDevice;
  const done: string[] = [];
  const face = { linkChanged: () => {} };
  const path = {
    wanDevice: device("w0"),
    lanDevice: device("l1"),
    wan: face,
    lan: face,
    setMtu: (side: string, mtu: number) => void done.push(`${side} ${mtu}`),
  } as unknown as RouterPath;
  const log = {
    enabled: () => true,
    write: (level: string, event: string, _text: string, fields?: Record<string, unknown>) =>
      void done.push(`${level} ${event} ${fields?.["before"]}>${fields?.["mtu"]}`),
  };
  const watch = new LinkWatch(path, log, { wanUp: () => {}, wanDown: () => {}, lanUp: () => {} });
  const look = (wan: number | undefined, lan: number | undefined): string[] => {
    Object.assign(mtus, { w0: wan, l1: lan });
    done.length = 0;
    watch.look(0);
    return [...done];
  };
  expect(look(1500, 1500)).toEqual([]);
  expect(look(1300, 1000)).toEqual(["wan 1300", "warn wan.mtu 1500>1300", "lan 1000", "warn lan.mtu 1500>1000"]);
  expect(look(1300, undefined)).toEqual([]);
  expect(look(1500, 9000)).toEqual(["wan 1500", "info wan.mtu 1300>1500", "lan 9000", "info lan.mtu 1000>9000"]);
});
