/** A resolved configuration -> an OpenVPN file that says the same with every default written out and every file inline. */
import { quoteWord } from "./lexer.ts";
import { encodeBase64, formatStaticKey } from "./material.ts";
import type { ClientConfig, ControlWrap, Material, Remote, TlsConfig, VerifyConfig } from "./types.ts";
import { decodeUtf8 } from "./utf8.ts";

/** @returns the file's text, which holds the secrets of the profile; it parses back to the same value (but for origins) */
export function formatConfig(config: ClientConfig): string {
  const out = new Output();
  out.line("client");
  out.line("dev", config.device);
  if (!/^tun/.test(config.device)) out.line("dev-type", "tun");
  writeLink(out, config);
  writeTimers(out, config);
  writeData(out, config);
  writeVerify(out, config.verify);
  out.flag("auth-user-pass", config.authUserPass && config.credentials === undefined);
  out.line("auth-retry", config.authRetry);
  out.flag("auth-nocache", config.authNoCache);
  out.flag("push-peer-info", config.pushPeerInfo);
  for (const [name, value] of config.setenv) out.line("setenv", name, value);
  out.flag("route-nopull", config.routeNoPull);
  for (const { action, prefix } of config.pullFilters) out.line("pull-filter", action, prefix);
  // Elsewhere than on Windows openvpn knows no block-outside-dns; marked as optional it is read everywhere.
  for (const { words } of config.localOptions) {
    if (words[0] === "block-outside-dns") out.line("setenv", "opt", ...words);
    else out.line(...words);
  }
  out.line("verb", config.verb);
  writeTls(out, config.tls);
  if (config.credentials) out.block("auth-user-pass", `${config.credentials.user}\n${config.credentials.password}\n`);
  writeWrap(out, config.wrap);
  return out.text;
}

class Output {
  text = "";

  line(...words: (string | number)[]): void {
    this.text += `${words.map((word) => quoteWord(String(word))).join(" ")}\n`;
  }

  flag(name: string, isSet: boolean): void {
    if (isSet) this.line(name);
  }

  /** A directive with one value, left out where there is none. */
  value(name: string, value: string | number | undefined): void {
    if (value !== undefined) this.line(name, value);
  }

  block(tag: string, content: string): void {
    this.text += `<${tag}>\n${content}</${tag}>\n`;
  }

  material(tag: string, material: Material | undefined): void {
    if (material) this.block(tag, decodeUtf8(material.bytes));
  }
}

function protocolWord(remote: Remote): string {
  const family = { any: "", ipv4: "4", ipv6: "6" }[remote.family];
  return remote.protocol === "udp" ? `udp${family}` : `tcp${family}-client`;
}

function writeLink(out: Output, config: ClientConfig): void {
  for (const remote of config.remotes) out.line("remote", remote.host, remote.port, protocolWord(remote));
  out.flag("remote-random", config.remoteRandom);
  out.flag("remote-random-hostname", config.remoteRandomHostname);
  if (config.connectRetry) out.line("connect-retry", config.connectRetry.initial, config.connectRetry.max);
  if (Number.isFinite(config.connectRetryMax)) out.line("connect-retry-max", config.connectRetryMax);
  out.line("connect-timeout", config.connectTimeout);
  out.line("resolv-retry", Number.isFinite(config.resolvRetry) ? config.resolvRetry : "infinite");
  if (config.localPort === undefined) out.line("nobind");
  else out.line("lport", config.localPort);
  out.flag("float", config.float);
}

function writeTimers(out: Output, config: ClientConfig): void {
  out.line("hand-window", config.handWindow);
  out.line("tls-timeout", config.tlsTimeout);
  out.line("tran-window", config.tranWindow);
  out.line("reneg-sec", config.renegSec.max, config.renegSec.min);
  out.line("reneg-bytes", config.renegBytes);
  out.line("reneg-pkts", config.renegPkts);
  if (config.ping > 0) out.line("ping", config.ping);
  out.line(`ping-${config.pingAction}`, config.pingTimeout);
  out.flag("ping-timer-rem", config.pingTimerRem);
  if (config.inactive) out.line("inactive", config.inactive.seconds, config.inactive.bytes);
  if (config.sessionTimeout > 0) out.line("session-timeout", config.sessionTimeout);
  if (config.exitNotify > 0) out.line("explicit-exit-notify", config.exitNotify);
}

function writeData(out: Output, config: ClientConfig): void {
  out.line("data-ciphers", config.dataCiphers.join(":"));
  out.value("data-ciphers-fallback", config.fallbackCipher);
  out.line("auth", config.auth);
  out.line("replay-window", config.replayWindow.packets, config.replayWindow.seconds);
  out.line("tun-mtu", config.tunMtu);
  out.line("tun-mtu-max", config.tunMtuMax);
  if (config.framing === "stub") out.line("comp-lzo", "no");
  else if (config.framing === "stub-swap") out.line("compress", "stub");
  const { size, mode } = config.mssFix;
  if (mode === "payload") out.line("mssfix", size);
  else out.line("mssfix", size, mode);
}

const colons = (hex: string): string => (hex.match(/../g) ?? []).join(":");

function writeVerify(out: Output, verify: VerifyConfig): void {
  out.value("remote-cert-tls", verify.remoteCertTls);
  out.value("remote-cert-eku", verify.remoteCertEku);
  if (verify.remoteCertKu) out.line("remote-cert-ku", ...verify.remoteCertKu.map((bits) => bits.toString(16)));
  out.value("ns-cert-type", verify.nsCertType);
  if (verify.x509Name) out.line("verify-x509-name", verify.x509Name.name, verify.x509Name.type);
  const { verifyHash, peerFingerprints } = verify;
  if (verifyHash?.algorithm === "SHA1") out.line("verify-hash", colons(verifyHash.digests[0] as string), "SHA1");
  else if (verifyHash) out.block("verify-hash", rows(verifyHash.digests.map(colons)));
  if (peerFingerprints) out.block("peer-fingerprint", rows(peerFingerprints.map(colons)));
}

const rows = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");

function writeTls(out: Output, tls: TlsConfig): void {
  out.line("tls-version-min", tls.minVersion);
  out.line("tls-version-max", tls.maxVersion);
  out.value("tls-cipher", tls.cipherList);
  out.value("tls-ciphersuites", tls.cipherSuites);
  out.value("tls-groups", tls.groups);
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
  if (wrap.kind === "none") return;
  if (wrap.kind === "tls-auth" && wrap.direction !== undefined) out.line("key-direction", wrap.direction);
  out.block(wrap.kind, formatStaticKey(wrap.key));
}
