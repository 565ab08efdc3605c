/** The public face of the network stack. See README.md for the packet walk. */
export { DROP_NAMES, DROP_TEXT, Drop, type DropCode, type DropName } from "./drop.ts";
export {
  type Forwarder,
  Interface,
  type InterfaceConfig,
  type InterfaceOptions,
  type InterfacePolicy,
} from "./interface.ts";
export type { PacketTranslator } from "./nat-port.ts";
export { type Route, RouteTable } from "./route.ts";
export { Router, type RouterOptions, type TunnelConfig } from "./router.ts";
export type { DatagramSink, UdpError, UdpReceiver, UdpSocket } from "./udp-socket.ts";
