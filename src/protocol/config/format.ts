/** A resolved configuration -> an OpenVPN file that says the same with every default written out and every file inline. */
import { Output } from "./format-output.ts";
import { listenProtocol, writeListen, writeServer } from "./format-server.ts";
import { INLINE } from "./lexer.ts";
import { encodeBase64, formatStaticKey } from "./material.ts";
import { formatTlsCryptV2Key } from "./tls-crypt-v2-key.ts";
import type {
  ClientConfig,
  Config,
  ControlConfig,
  ControlWrap,
  DataConfig,
  DialConfig,
  KeepaliveConfig,
  LinkConfig,
  PeerInfoConfig,
  ProxyConfig,
  PullConfig,
  Remote,
  RetryConfig,
  Role,
  StaticKey,
  TlsConfig,
  TunnelConfig,
  TunnelSizes,
  UserPass,
  VerifyConfig,
} from "./types.ts";

/** @returns the file's text, which holds the secrets of the profile; it parses back to the same value (but for origins) */
export function formatConfig(config: Config): string {
  const out = new Output();
  if (config.role === "client") out.line(config.pull === undefined ? "tls-client" : "client");
  if (config.role === "server") out.line("mode", "server");
  if (config.role === "server" || config.role === "p2p") out.line("tls-server");
  out.line("dev", config.device);
  if (!config.device.startsWith(config.deviceType)) out.line("dev-type", config.deviceType);
  // Beside nobind no block could have a port.
  const isBoundInBlock = "remotes" in config && config.remotes.some(({ own }) => own.link?.localPort !== undefined);
  writeLink(out, config.link, config.role, !isBoundInBlock);
  writeData(out, config.data, config.role);
  writeKeepalive(out, config.keepalive);
  if (config.exitNotify > 0) out.line("explicit-exit-notify", config.exitNotify);
  writeTunnel(out, config.tunnel);
  if (config.role === "server") writeServer(out, config);
  if (config.role === "client") writeClient(out, config);
  if (config.role === "p2p") {
    writeDial(out, config);
    writePeerInfo(out, config.peerInfo);
    // OpenVPN up to 2.6 asks for it.
    out.line("dh", "none");
  }
  if (config.role === "static") {
    writeDial(out, config);
    writeStaticKey(out, "secret", config.secret);
  } else {
    writeControl(out, config.control);
    writeVerify(out, config.verify, config.role);
    writeTls(out, config.tls);
  }
  return out.text;
}

function protocolWord(remote: Remote): string {
  const family = { any: "", ipv4: "4", ipv6: "6" }[remote.family];
  return remote.protocol === "udp" ? `udp${family}` : `tcp${family}-client`;
}

function writeDial(out: Output, config: DialConfig): void {
  writeProxy(out, config.proxy);
  writeProxyLogin(out, config);
  if (config.listen) writeListen(out, [config.listen], config.listen.port);
  writeRemotes(out, config);
  writeRetry(out, config.retry);
}

function writeClient(out: Output, config: ClientConfig): void {
  writeDial(out, config);
  if (config.pull) writePull(out, config.pull);
  writePeerInfo(out, config.peerInfo);
  const { login } = config;
  if (login === undefined) return;
  const { user, password, answer, staticChallenge } = login;
  out.block("auth-user-pass", rows([user, password, ...(answer === undefined ? [] : [answer.row])]));
  if (staticChallenge) {
    const { text, format } = staticChallenge;
    // The second value says whether a person sees what he types.
    out.line("static-challenge", text, 1, ...(format === "scrv1" ? [] : [format]));
  }
}

/** Where a server has something of its own, each has a block; else each has a line. */
function writeRemotes(out: Output, config: DialConfig): void {
  const isPlain = config.remotes.every(({ own }) => Object.keys(own).length === 0);
  const { listen } = config;
  for (const remote of config.remotes) {
    const protocol =
      listen?.protocol === "tcp" ? listenProtocol({ ...listen, family: remote.family }) : protocolWord(remote);
    const words = ["remote", remote.host, remote.port, protocol] as const;
    if (isPlain) {
      out.line(...words);
      continue;
    }
    const inner = new Output();
    inner.line(...words);
    writeOwn(inner, remote.own);
    out.block("connection", inner.text);
  }
}

function writeOwn(out: Output, own: Remote["own"]): void {
  const { link, proxy, connectTimeout, connectRetry, exitNotify, wrap, sizes, fragment } = own;
  if (link) writeLink(out, link, "client", false);
  writeProxy(out, proxy);
  out.value("connect-timeout", connectTimeout);
  writeConnectRetry(out, connectRetry);
  out.value("explicit-exit-notify", exitNotify);
  if (wrap) writeWrap(out, wrap);
  if (fragment) writeFragment(out, fragment);
  else if ("fragment" in own) out.line("fragment", 0);
  if (sizes) writeSizes(out, sizes);
}

function writeProxy(out: Output, proxy: ProxyConfig | undefined): void {
  if (proxy === undefined) return;
  const { host, port, login } = proxy;
  // OpenVPN has no block for it: the login stays a file.
  if (proxy.kind === "socks") return out.line("socks-proxy", host, port, ...(login ? [login.label] : []));
  if (proxy.method === "basic") out.line("http-proxy", host, port, fileOf(login) ?? INLINE, "basic");
  else out.line("http-proxy", host, port, proxy.method);
  out.line("http-proxy-option", "VERSION", proxy.version);
  if (proxy.agent !== undefined) out.line("http-proxy-option", "AGENT", proxy.agent);
  for (const words of proxy.headers) out.line("http-proxy-option", "CUSTOM-HEADER", ...words);
}

/** <http-proxy-user-pass>, which no <connection> block can hold: the login of all that name no file. */
function writeProxyLogin(out: Output, { proxy, remotes }: DialConfig): void {
  const logins = [proxy, ...remotes.map(({ own }) => own.proxy)].flatMap((each) =>
    each?.kind === "http" && each.login && (each.method !== "basic" || fileOf(each.login) === undefined)
      ? [each.login]
      : [],
  );
  const [login] = logins;
  if (login) out.block("http-proxy-user-pass", `${login.user}\n${login.password}\n`);
}

const fileOf = (login: UserPass | undefined): string | undefined =>
  login?.label.startsWith("<") === false ? login.label : undefined;

function writeRetry(out: Output, retry: RetryConfig): void {
  out.flag("remote-random", retry.remoteRandom);
  out.flag("remote-random-hostname", retry.remoteRandomHostname);
  writeConnectRetry(out, retry.connectRetry);
  out.line("connect-timeout", retry.connectTimeout);
}

function writeConnectRetry(out: Output, connectRetry: RetryConfig["connectRetry"]): void {
  if (connectRetry) out.line("connect-retry", connectRetry.initial, connectRetry.max);
}

function writeLink(out: Output, link: LinkConfig, role: Role, mayBeUnbound: boolean): void {
  // A server is always bound.
  if (link.localPort === undefined && role !== "server") out.flag("nobind", mayBeUnbound);
  else out.line(link.streamPort === undefined && role !== "server" ? "port" : "lport", link.localPort ?? 0);
  out.flag("float", link.float);
}

/** The replay window is one directive for both channels: it stands with the data channel. */
function writeControl(out: Output, control: ControlConfig): void {
  out.line("hand-window", control.handWindow);
  out.line("tls-timeout", control.tlsTimeout);
  out.line("tran-window", control.tranWindow);
  out.line("reneg-sec", control.renegSec.max, control.renegSec.min);
  out.line("reneg-bytes", control.renegBytes);
  out.line("reneg-pkts", control.renegPkts);
  writeWrap(out, control.wrap);
}

function writeData(out: Output, data: DataConfig, role: Role): void {
  // With a static key nothing is negotiated: there is one cipher.
  if (role === "static") out.value("cipher", data.fallbackCipher);
  else {
    out.line("data-ciphers", data.ciphers.join(":"));
    out.value("data-ciphers-fallback", data.fallbackCipher);
  }
  out.line("auth", data.auth);
  out.line("replay-window", data.replayWindow.packets, data.replayWindow.seconds);
  if (data.compression !== "none") out.line(...data.compression.split(" "));
  out.value("allow-compression", data.allowCompression);
  if (data.fragment) writeFragment(out, data.fragment);
}

function writeFragment(out: Output, { size, isOuter }: NonNullable<DataConfig["fragment"]>): void {
  out.line("fragment", size, ...(isOuter ? ["mtu"] : []));
}

function writeKeepalive(out: Output, keepalive: KeepaliveConfig): void {
  if (keepalive.ping > 0) out.line("ping", keepalive.ping);
  out.line(`ping-${keepalive.action}`, keepalive.timeout);
  if (keepalive.inactive) out.line("inactive", keepalive.inactive.seconds, keepalive.inactive.bytes);
  if (keepalive.sessionTimeout > 0) out.line("session-timeout", keepalive.sessionTimeout);
}

function writePull(out: Output, pull: PullConfig): void {
  out.flag("route-nopull", pull.routeNoPull);
  for (const { action, prefix } of pull.filters) out.line("pull-filter", action, prefix);
}

function writeSizes(out: Output, { mtu, mtuMax, mssFix }: TunnelSizes): void {
  out.line("tun-mtu", mtu);
  out.line("tun-mtu-max", mtuMax);
  if (mssFix.mode === "payload") out.line("mssfix", mssFix.size);
  else out.line("mssfix", mssFix.size, mssFix.mode);
}

function writeTunnel(out: Output, tunnel: TunnelConfig): void {
  writeSizes(out, tunnel);
  // Elsewhere than on Windows openvpn knows no block-outside-dns; marked as optional it is read everywhere.
  for (const { words } of tunnel.localOptions) {
    if (words[0] === "block-outside-dns") out.line("setenv", "opt", ...words);
    else out.line(...words);
  }
}

function writePeerInfo(out: Output, peerInfo: PeerInfoConfig): void {
  out.flag("push-peer-info", peerInfo.pushPeerInfo);
  for (const [name, value] of peerInfo.variables) out.line("setenv", name, value);
}

const colons = (hex: string): string => (hex.match(/../g) ?? []).join(":");

function writeVerify(out: Output, verify: VerifyConfig, role: Role): void {
  out.value("remote-cert-tls", verify.remoteCertTls);
  out.value("remote-cert-eku", verify.remoteCertEku);
  if (verify.remoteCertKu) out.line("remote-cert-ku", ...verify.remoteCertKu.map((bits) => bits.toString(16)));
  out.value("ns-cert-type", verify.nsCertType);
  if (verify.x509Name) out.line("verify-x509-name", verify.x509Name.name, verify.x509Name.type);
  if ((verify.x509Name || role === "server") && verify.usernameFields.join() !== "CN")
    out.line("x509-username-field", ...verify.usernameFields);
  const { verifyHash, peerFingerprints } = verify;
  for (const digest of verifyHash?.digests ?? []) out.line("verify-hash", colons(digest), verifyHash!.algorithm);
  if (peerFingerprints) out.block("peer-fingerprint", rows(peerFingerprints.map(colons)));
}

const rows = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");

function writeTls(out: Output, tls: TlsConfig): void {
  out.line("tls-version-min", tls.minVersion);
  out.line("tls-version-max", tls.maxVersion);
  out.value("tls-cipher", tls.cipherList);
  out.value("tls-ciphersuites", tls.cipherSuites);
  out.value("tls-groups", tls.groups);
  if (tls.certProfile !== "legacy") out.line("tls-cert-profile", tls.certProfile);
  // The one file that stays a file: OpenVPN takes no <askpass> block.
  out.value("askpass", tls.passphraseFile);
  out.material("ca", tls.ca);
  out.material("cert", tls.cert);
  out.material("key", tls.key);
  out.material("extra-certs", tls.extraCerts);
  if (tls.pkcs12) out.block("pkcs12", rows(encodeBase64(tls.pkcs12.bytes).match(/.{1,64}/g) ?? []));
  out.material("crl-verify", tls.crl);
}

function writeWrap(out: Output, wrap: ControlWrap): void {
  if (wrap.kind === "tls-auth") writeStaticKey(out, "tls-auth", wrap);
  else if (wrap.kind === "tls-crypt") out.block("tls-crypt", formatStaticKey(wrap.key));
  else if (wrap.kind === "tls-crypt-v2") out.block("tls-crypt-v2", formatTlsCryptV2Key(wrap));
}

function writeStaticKey(out: Output, name: string, { key, direction }: StaticKey): void {
  out.value("key-direction", direction);
  out.block(name, formatStaticKey(key));
}
