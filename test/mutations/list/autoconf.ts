/** Router discovery, SLAAC and DHCPv6: whom they believe, how often they ask, and when what was learnt ends. */
import { mutationsOf } from "../mutation.ts";

export const AUTOCONF = [
  ...mutationsOf(
    "netstack/wire/router-advert.ts",
    [
      'if (len === 0 || p + len > message.length) return "bad-options";',
      'if (len === 0) return "bad-options";',
      "that an option fits the message",
    ],
    ['if (++count > MAX_OPTIONS) return "too-many-options";', "count++;", "the bound of the options"],
    ['if (message[CODE] !== 0) return "bad-code";', "", "the code"],
    ["if (len >= 24 && len % 16 === 8) {", "if (len >= 24) {", "that RDNSS has whole addresses"],
    [
      "if (optionLen(d, p) !== 32 || length > 128) return undefined;",
      "if (length > 128) return undefined;",
      "the length of a prefix option",
    ],
    [
      "length > 128 || len > 24 || len < 8 + 8 * Math.ceil(length / 64)",
      "length > 128 || len > 24",
      "that a route's prefix is there",
    ],
  ),
  ...mutationsOf(
    "netstack/wire/dhcpv6.ts",
    ["if (end > m.length) return undefined;", "", "that an option fits the message"],
    [
      'if (type === 0 || type === DHCP6_RECONFIGURE || type > DHCP6_INFORMATION_REQUEST) return "bad-type";',
      "",
      "that RECONFIGURE and relays are refused",
    ],
    [
      "const more = a.length < IAADDR_OPTIONS ? undefined : readOptions(a, IAADDR_OPTIONS);",
      "const more = readOptions(a, IAADDR_OPTIONS);",
      "that an address is whole",
    ],
  ),
  ...mutationsOf(
    "netstack/ra/host.ts",
    ['if (this.#prefixes.linkLocal?.equals(source) === true) return "own";', "", "that we are no router of our own"],
    [
      "mtu !== undefined && mtu >= MIN_MTU && mtu <= this.#options.mtu",
      "mtu !== undefined && mtu >= MIN_MTU",
      "the largest MTU",
    ],
    ["mtu !== undefined && mtu >= MIN_MTU && mtu", "mtu !== undefined && mtu", "the smallest MTU"],
    [
      "else this.#solicitor.stop(); // RFC 7559 2: only once there is a default router",
      "this.#solicitor.stop();",
      "that solicitations go on without a default router",
    ],
    [
      "if (MODES.indexOf(mode) > MODES.indexOf(this.#mode)) {",
      "if (mode !== this.#mode) {",
      "that routers that differ do not start and stop DHCPv6",
    ],
  ),
  ...mutationsOf(
    "netstack/ra/solicitor.ts",
    [
      "if (this.#interval > INTERVAL_MAX) this.#interval",
      "if (false as boolean) this.#interval",
      "the largest interval",
    ],
    [
      "const base = this.#interval === 0 ? INTERVAL_FIRST : 2 * this.#interval;",
      "const base = INTERVAL_FIRST;",
      "the backoff (RFC 7559)",
    ],
  ),
  ...mutationsOf(
    "netstack/ra/prefixes.ts",
    [
      "else if (slaac.validUntil - now > TWO_HOURS_MS) slaac.validUntil = now + TWO_HOURS_MS;",
      "else slaac.validUntil = validUntil;",
      "the two-hour rule",
    ],
    [
      "if (validUntil - now > TWO_HOURS_MS || validUntil > slaac.validUntil) slaac",
      "if (validUntil - now > TWO_HOURS_MS) slaac",
      "that a short life may be made longer",
    ],
    [
      "autonomous && prefix.prefix === 64 && preferred <= valid;",
      "autonomous && prefix.prefix === 64;",
      "that preferred is not longer than valid",
    ],
    [
      "if (prefix.address.isLoopback || LINK_LOCAL.contains(prefix.address)) return;",
      "",
      "that nobody advertises the link-local prefix",
    ],
    ["if (slaac.counter >= RETRIES) {", "if (false as boolean) {", "the end of attempts (RFC 7217 6)"],
    ["slaac.retryAt = now + TAKEN_REST_MS;", "", "that an address is tried again later"],
    [
      "if (slaac !== undefined && slaac.validUntil <= now) entry.slaac = undefined;\n      else if",
      "if",
      "the end of an address",
    ],
    ["if (entry.onLinkUntil <= now) entry.onLinkUntil = 0;", "", "the end of a prefix"],
    ["if (this.#entries.length >= MAX_PREFIXES) {", "if (false as boolean) {", "the bound of the prefixes"],
  ),
  ...mutationsOf(
    "netstack/ra/fairness.ts",
    [
      "const rivals = entries.filter((entry) => !isOf(entry, gateway));",
      "const rivals = [...entries];",
      "that the gateway's entries stay",
    ],
    ["let most = count(router) + 1;", "let most = count(router);", "that who has as much gives nothing up"],
  ),
  ...mutationsOf(
    "netstack/ra/resolvers.ts",
    [
      "if (this.#entries.length < MAX_SERVERS) return true;",
      "if (true as boolean) return true;",
      "the bound of the DNS servers",
    ],
    ["!server.isIpv4 && server.isHost && ", "!server.isIpv4 && ", "that a DNS server is a host"],
  ),
  ...mutationsOf(
    "netstack/ra/routers.ts",
    [
      "const others = rivals.filter((r) => !isDefault || r.router !== this.#gateway);",
      "const others = rivals;",
      "that the router in use is not talked away",
    ],
    ["if (this.#rank(worst) >= preference) return;", "", "that a full list is not churned"],
    [
      "if (failedAt !== undefined && now - failedAt >= RETRY_AFTER_MS)",
      "if (failedAt !== undefined)",
      "that an advertisement is no proof of reachability",
    ],
    [
      "if (failedA !== undefined && failedB !== undefined) return failedA - failedB;",
      "",
      "that each router has its turn",
    ],
    [
      "if (this.pollAt() > now) return;\n    for",
      "for (const entry of []) this.#remove(entry);\n    for (;false;) for",
      "the end of a router's lifetime",
    ],
  ),
  ...mutationsOf(
    "netstack/ra/stable-address.ts",
    ["if (!isReserved(hi, lo)) return", "return", "that reserved identifiers are not taken (RFC 5453)"],
    ["d.setUint16(14, counter);", "", "that a taken address has a successor"],
    ["d.setUint16(8, mac.hi);\n  d.setInt32(10, mac.lo);", "", "that interfaces have different addresses"],
  ),
  ...mutationsOf(
    "netstack/ra/advertiser.ts",
    [
      "nextAt: Math.max(now, state.sentAt + APART) };",
      "nextAt: now };",
      "the least time between advertisements of news",
    ],
    [
      "const answerAt = Math.max(now, state.sentAt + APART) + delay;",
      "const answerAt = now + delay;",
      "the least time between answers",
    ],
    ["if (answerAt < state.nextAt) this", "this", "that an answer never comes later than what is due anyway"],
    ["lifetime: isDefaultRouter ? lifetime : 0,", "lifetime,", "that there is no default route without a way out"],
    ["const lifetime = isGoodbye ? 0 : ROUTER_LIFETIME;", "const lifetime = ROUTER_LIFETIME;", "the goodbye"],
  ),
  ...mutationsOf(
    "netstack/dhcp6/client.ts",
    ['if (peer.port !== DHCP6_SERVER_PORT) return "wrong-port";', "", "the server's port"],
    ['if (m.xid !== state.exchange.xid) return "wrong-xid";', "", "the transaction id"],
    [
      'if (clientId === undefined ? state.kind !== "informing" : !isSame(clientId, this.#clientId)) return "wrong-client";',
      "",
      "that it is meant for us",
    ],
    [
      'if (serverId === undefined || serverId.length === 0) return "no-server-id";',
      'if (serverId === undefined) return "no-server-id";\n    if (false as boolean) return "no-server-id";',
      "that a server id is not empty",
    ],
    [
      "return isSame(serverId, state.offer.serverId) ?",
      "return (true as boolean) ?",
      "that the server that was asked answers",
    ],
    ["return isSame(serverId, state.lease.serverId) ?", "return (true as boolean) ?", "that the lease's server renews"],
    [
      'if (dhcp6Option(m.options, OPTION6_RAPID_COMMIT) === undefined) return "unexpected";',
      "",
      "that a reply to a solicit commits",
    ],
    [
      "if (preference === MAX_PREFERENCE || exchange.count > 1)",
      "if (exchange.count > 1)",
      "that preference 255 is taken at once",
    ],
    ["s !== undefined && s >= MAX_RT.min && s <= MAX_RT.max", "s !== undefined", "the bounds of SOL_MAX_RT"],
    ["refusals: refusals + 1 });", "refusals });", "the growing pause after refusals"],
    ["Math.max(given, REFRESH.min)", "given", "the shortest refresh time"],
    [
      'if (now >= state.lease.t2) this.#ask(now, "rebinding", state.lease);\n        else if (now >= state.lease.t1)',
      "if (now >= state.lease.t1)",
      "rebinding of a lease whose renewal was slept through",
    ],
    [
      'if (now >= state.lease.t2) this.#ask(now, "rebinding", state.lease);\n        else if (now >= state.exchange.at)',
      "if (now >= state.exchange.at)",
      "rebinding at T2",
    ],
    ["else if (now >= state.lease.t1) this", "else if (false as boolean) this", "renewing at T1"],
    [
      'if (lease !== undefined && state.kind !== "stopped" && now >= lease.expires) {',
      "if (false as boolean) {",
      "the end of a lease",
    ],
    [
      "if (!state.exchange.isOver(now)) return this.#send(now);",
      "if (true as boolean) return this.#send(now);",
      "the end of repetitions",
    ],
    ["dhcp6Status(m.options) === STATUS6_NOT_ON_LINK", "false as boolean", "that a lease of another link is left"],
  ),
  ...mutationsOf(
    "netstack/dhcp6/lease.ts",
    ['if (ia.t1 > 0 && ia.t2 > 0 && ia.t1 > ia.t2) return "bad-times";', "", "that T1 is not later than T2"],
    ["  preferred <= valid &&\n", "", "that preferred is not longer than valid"],
    ["  address.isHost &&\n  !address.isLinkLocal;", "  address.isHost;", "that a lease is not link-local"],
    ["  address.isHost &&\n", "", "that a host can have the address"],
    ["  valid > 0 &&\n", "", "that a lease without time is none"],
    ["const valid = Math.max(given.valid, MIN_LEASE_S);", "const valid = given.valid;", "the shortest lease"],
    ["dns: dns.slice(0, MAX_DNS)", "dns", "the bound of the DNS servers"],
  ),
  ...mutationsOf(
    "netstack/dhcp6/retransmission.ts",
    ["if (this.#interval > this.mrt) this.#interval", "if (false as boolean) this.#interval", "the largest interval"],
    ["(isSearch ? Math.abs(rand) : rand)", "rand", "that the first interval of a search is not short"],
    [
      "this.at = Math.min(now + this.#interval, this.firstAt + mrd);",
      "this.at = now + this.#interval;",
      "the end by time",
    ],
    ["return this.count >= this.plan.mrc ||", "return", "the end by count"],
    ["2 * this.#interval + rand", "this.#interval + rand", "the backoff (RFC 8415 15)"],
  ),
];
