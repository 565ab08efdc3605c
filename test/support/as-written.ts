/** A configuration as its resolved text says it. */

import type { Config } from "../../src/protocol/config/types.ts";
import { commonPush } from "../../src/protocol/push/common-push.ts";

/** Whatever makes the options that a server pushes, resolved text pushes them by lines of push. */
export const asWritten = (config: Config): Config =>
  config.role === "server"
    ? { ...config, push: commonPush(config), pushTimers: [], network: { ...config.network, push: [] } }
    : config;
