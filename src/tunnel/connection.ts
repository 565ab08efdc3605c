/** The configuration as it is for one server: that of the profile, and in it what the server's <connection> block says otherwise. */
import type { DialConfig, Remote } from "../protocol/config/types.ts";

export function connectionConfig(config: DialConfig, { own }: Remote): DialConfig {
  const common = {
    link: own.link ?? config.link,
    proxy: own.proxy ?? config.proxy,
    retry: {
      ...config.retry,
      connectTimeout: own.connectTimeout ?? config.retry.connectTimeout,
      connectRetry: own.connectRetry ?? config.retry.connectRetry,
    },
    exitNotify: own.exitNotify ?? config.exitNotify,
    data: { ...config.data, fragment: "fragment" in own ? own.fragment : config.data.fragment },
    tunnel: { ...config.tunnel, ...own.sizes },
  };
  if (config.role === "static") return { ...config, ...common };
  return { ...config, ...common, control: { ...config.control, wrap: own.wrap ?? config.control.wrap } };
}
