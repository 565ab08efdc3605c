/** Every check that guards security and every timer, as the edit that takes it out. `npm run mutate` proves that a test sees each. */
import { APPLIANCE } from "./list/appliance.ts";
import { AUTOCONF } from "./list/autoconf.ts";
import { BRIDGE } from "./list/bridge.ts";
import { DNS } from "./list/dns.ts";
import { ENTRY } from "./list/entry.ts";
import { HOST } from "./list/host.ts";
import { IP6 } from "./list/ip6.ts";
import { IPV6_APPLIANCE } from "./list/ipv6-appliance.ts";
import { LISTENER } from "./list/listener.ts";
import { PROTOCOL } from "./list/protocol.ts";
import { ROUTER } from "./list/router.ts";
import { SERVER } from "./list/server.ts";
import { SERVER_CONFIG } from "./list/server-config.ts";
import { SERVICES } from "./list/services.ts";
import { STACK } from "./list/stack.ts";
import { STATE } from "./list/state.ts";
import { STATUS } from "./list/status.ts";
import { SYSLOG } from "./list/syslog.ts";
import { TCP } from "./list/tcp.ts";
import { TCP_PARTS } from "./list/tcp-parts.ts";
import { TLS } from "./list/tls.ts";
import { TOOLS } from "./list/tools.ts";
import { TUNNEL } from "./list/tunnel.ts";
import { WIRE } from "./list/wire.ts";
import type { Mutation } from "./mutation.ts";

export const MUTATIONS: readonly Mutation[] = [
  ...PROTOCOL,
  ...TLS,
  ...SERVER,
  ...LISTENER,
  ...ENTRY,
  ...SERVER_CONFIG,
  ...WIRE,
  ...STACK,
  ...TCP,
  ...IP6,
  ...TCP_PARTS,
  ...ROUTER,
  ...BRIDGE,
  ...SERVICES,
  ...AUTOCONF,
  ...DNS,
  ...TUNNEL,
  ...APPLIANCE,
  ...HOST,
  ...IPV6_APPLIANCE,
  ...STATE,
  ...STATUS,
  ...SYSLOG,
  ...TOOLS,
];
