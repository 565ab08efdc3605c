/** Every fuzz target by name; its corpus is test/corpus/NAME/. */
import type { Target } from "./target.ts";
import { clientFile } from "./targets/client-file.ts";
import { config } from "./targets/config.ts";
import { control, controlMessage, push } from "./targets/control.ts";
import { data } from "./targets/data.ts";
import { dhcp } from "./targets/dhcp.ts";
import { dhcpServer } from "./targets/dhcp-server.ts";
import { dhcp6 } from "./targets/dhcp6.ts";
import { disk } from "./targets/disk.ts";
import { dns } from "./targets/dns.ts";
import { dnsForwarder } from "./targets/dns-forwarder.ts";
import { entry, entryFiles } from "./targets/entry.ts";
import { frame } from "./targets/frame.ts";
import { http } from "./targets/http.ts";
import { ip6 } from "./targets/ip6.ts";
import { outlet } from "./targets/outlet.ts";
import { proxy } from "./targets/proxy.ts";
import { routerAdvert } from "./targets/router-advert.ts";
import { session } from "./targets/session.ts";
import { settings } from "./targets/settings.ts";
import { stack } from "./targets/stack.ts";
import { tcp } from "./targets/tcp.ts";
import { wrappedKey } from "./targets/wrapped-key.ts";

export const TARGETS: Readonly<Record<string, Target>> = {
  frame,
  stack,
  ip6,
  tcp,
  outlet,
  dhcp,
  dhcp6,
  "router-advert": routerAdvert,
  "dhcp-server": dhcpServer,
  dns,
  "dns-forwarder": dnsForwarder,
  control,
  "wrapped-key": wrappedKey,
  "control-message": controlMessage,
  push,
  proxy,
  http,
  data,
  session,
  config,
  "client-file": clientFile,
  settings,
  entry,
  "entry-files": entryFiles,
  disk,
};
