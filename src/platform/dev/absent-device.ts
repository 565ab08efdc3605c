/** A device that there is not: of a server without a LAN. */
import { Counters } from "../../lib/counters.ts";
import type { FrameDevice } from "./frame-device.ts";

export const ABSENT_DEVICE: FrameDevice = Object.freeze({
  name: "none",
  mac: Object.freeze({ hi: 0, lo: 0 }),
  mtu: 1500,
  udpGso: false,
  drained: true,
  receive: () => 0,
  send: () => {},
  linkUp: () => true,
  mtuNow: () => undefined,
  statistics: () => ({ received: 0, dropped: 0 }),
  counters: new Counters([]),
});
