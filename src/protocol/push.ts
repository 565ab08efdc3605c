/** What a server pushes, and what it means. */
export { applyPullFilter, type FilterResult } from "./push/pull-filter.ts";
export { parseSessionOptions, type SessionOptions } from "./push/session-options.ts";
export {
  type Note,
  parseTunnelOptions,
  type Tunnel,
  type TunnelContext,
  type TunnelResult,
  type TunnelRoute,
} from "./push/tunnel-options.ts";
