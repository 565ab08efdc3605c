/** What is said to proxies, and what of their answers is believed. The truth: RFC 1928, 1929, 7616 (3.9.1), 7617 and real programs (test/interop/links.test.ts). */
import { describe, expect, test } from "bun:test";
import { parseIp } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import type { HttpProxyConfig, SocksProxyConfig } from "../../protocol/config/types.ts";
import { encodeUtf8 } from "../../protocol/config/utf8.ts";
import type { ProxyDialogue, ProxyStep } from "./dialogue.ts";
import { HttpConnect } from "./http-connect.ts";
import { digestAnswer, digestChallenges } from "./http-digest.ts";
import { Socks5Dialogue } from "./socks5.ts";

const origin = { file: "x", line: 1 };
const LOGIN = { user: "ann", password: "s3:cret", label: "login.txt", origin };
const REMOTE = { host: "vpn.example", port: 443 };
const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const fed = (dialogue: ProxyDialogue, bytes: readonly number[] | string): ProxyStep =>
  dialogue.feed(typeof bytes === "string" ? encodeUtf8(bytes) : Uint8Array.from(bytes));
const failure = (step: ProxyStep): string => (step.kind === "failed" ? step.text : step.kind);
const refusal = (step: ProxyStep): string => (step.kind === "login-refused" ? step.text : step.kind);

describe("HTTP", () => {
  const http = (more: Partial<HttpProxyConfig> = {}): HttpConnect => {
    const config = { kind: "http", host: "p", port: 3128, origin, login: undefined, method: "auto" } as const;
    return new HttpConnect(
      { ...config, version: "1.0", agent: undefined, headers: [], ...more },
      REMOTE,
      seededRandom(1),
    );
  };
  const begun = (more: Partial<HttpProxyConfig> = {}): { it: HttpConnect; request: string } => {
    const it = http(more);
    return { it, request: text(it.begin()) };
  };

  test("the request, and what of it the profile decides", () => {
    expect(begun().request).toBe("CONNECT vpn.example:443 HTTP/1.0\r\nHost: vpn.example:443\r\n\r\n");
    const headers = [["X-Office", "seat 12"], ["Host", "other"], ["X-Whole: line"]];
    expect(begun({ version: "1.1", agent: "Fox/1", headers }).request).toBe(
      "CONNECT vpn.example:443 HTTP/1.1\r\nX-Office: seat 12\r\nHost: other\r\nX-Whole: line\r\nUser-Agent: Fox/1\r\n\r\n",
    );
    const v6 = new HttpConnect(
      {
        kind: "http",
        host: "p",
        port: 1,
        origin,
        login: undefined,
        method: "auto",
        version: "1.0",
        agent: undefined,
        headers: [],
      },
      { host: "2001:db8::1", port: 1 },
      seededRandom(1),
    );
    expect(text(v6.begin())).toStartWith("CONNECT [2001:db8::1]:1 ");
  });

  test("200 opens the way behind its headers, in however many pieces it comes", () => {
    const answer = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
    for (const end of ["\r\n", "\n"]) {
      const whole = answer.replaceAll("\r\n", end);
      for (let cut = 0; cut < whole.length; cut++)
        expect(fed(begun().it, whole.slice(0, cut))).toEqual({ kind: "wait" });
      expect(fed(begun().it, `${whole}\0\x0e`)).toEqual({ kind: "open", used: whole.length, relay: undefined });
    }
  });

  test("what is no answer of a proxy, and what is a refusal, ends it in words", () => {
    expect(failure(fed(begun().it, "SSH-2.0-OpenSSH\r\n"))).toContain("does not speak HTTP");
    expect(failure(fed(begun().it, "HTTP/1.1 2000 x\r\n\r\n"))).toContain("does not speak HTTP");
    expect(failure(fed(begun().it, `HTTP/1.1 200 ok\r\n${"x".repeat(16_384)}`))).toContain("has no end");
    expect(failure(fed(begun().it, "HTTP/1.1 302 Found\r\nLocation: http://other.example/\r\n\r\n"))).toBe(
      "refuses to connect to vpn.example:443: it answers 302 Found",
    );
    expect(failure(fed(begun().it, "HTTP/1.1 403 Filtered\x1b[2J\r\n\r\n"))).toBe(
      "refuses to connect to vpn.example:443: it answers 403 Filtered?[2J",
    );
  });

  const asks = (...offers: string[]): string =>
    `HTTP/1.1 407 Login\r\n${offers.map((offer) => `Proxy-Authenticate: ${offer}\r\n`).join("")}\r\n`;

  test("basic goes at once where the profile says so, and by auto when the proxy asks (RFC 7617)", () => {
    const line = `Proxy-Authorization: Basic ${btoa("ann:s3:cret")}\r\n`;
    expect(begun({ method: "basic", login: LOGIN }).request).toContain(line);
    const refused = begun({ method: "basic", login: LOGIN }).it;
    expect(refusal(fed(refused, "HTTP/1.0 401 Unauthorized\r\n\r\n"))).toContain("(401); correct them in login.txt");
    expect(failure(fed(begun().it, "HTTP/1.0 401 Unauthorized\r\n\r\n"))).toContain("it answers 401 Unauthorized");
    const { it, request } = begun({ login: LOGIN });
    expect(request).not.toContain("Proxy-Authorization");
    expect(fed(it, asks('Basic realm="x"'))).toEqual({ kind: "again" });
    expect(text(it.begin())).toContain(line);
    expect(refusal(fed(it, asks('Basic realm="x"')))).toBe(
      "refuses user and password (407); correct them in login.txt",
    );
  });

  test("a proxy that wants a login and gets none names where to put it; auto-nct gives none in clear text", () => {
    expect(failure(fed(begun().it, asks("Basic")))).toContain("http-proxy-user-pass");
    const nct = begun({ method: "auto-nct", login: LOGIN }).it;
    expect(failure(fed(nct, asks("Basic", "NTLM")))).toBe(
      "asks for a login of another kind (407: Basic, NTLM); auto-nct allows digest only; auto allows basic too",
    );
  });

  test("digest is preferred, the strongest of them, and answers a nonce that is too old once more", () => {
    const { it } = begun({ login: LOGIN });
    const offer = (nonce: string, more = ""): string => `Digest realm="r", nonce="${nonce}", qop="auth"${more}`;
    expect(fed(it, asks("Basic", offer("n1"), offer("n2", ", algorithm=SHA-256")))).toEqual({ kind: "again" });
    expect(text(it.begin())).toMatch(/Proxy-Authorization: Digest username="ann", .*nonce="n2".*algorithm=SHA-256/);
    expect(fed(it, asks(offer("n3", ", stale=true")))).toEqual({ kind: "again" });
    expect(text(it.begin())).toContain('nonce="n3"');
    expect(refusal(fed(it, asks(offer("n4"))))).toContain("refuses user and password");
  });

  test("a proxy that calls each nonce stale is not asked without end", () => {
    const { it } = begun({ login: LOGIN });
    let steps = 0;
    for (let step = fed(it, asks('Digest realm="r", nonce="n"')); step.kind === "again"; steps++) {
      it.begin();
      step = fed(it, asks('Digest realm="r", nonce="n", stale=true'));
    }
    expect(steps).toBe(3);
  });
});

describe("digest", () => {
  test.each([
    ["MD5", "8ca523f5e9506fed4657c9700eebdbec"],
    ["SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"],
  ])("RFC 7616 3.9.1, %s", (algorithm, response) => {
    const [challenge] = digestChallenges([
      `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, ` +
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
    ]);
    const login = { user: "Mufasa", password: "Circle of Life" };
    const cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    expect(digestAnswer(challenge as never, login, "GET", "/dir/index.html", cnonce)).toContain(
      `response="${response}"`,
    );
  });

  test("RFC 2617 3.5, with a session key too; without qop as RFC 2069", () => {
    const offer = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"';
    const login = { user: "Mufasa", password: "Circle Of Life" };
    const answer = (more: string): string =>
      digestAnswer(digestChallenges([offer + more])[0] as never, login, "GET", "/dir/index.html", "0a4f113b");
    expect(answer(', qop="auth,auth-int"')).toContain('response="6629fae49393a05397450978507c4ef1"');
    expect(answer("")).toContain('response="670fd8c2df070c60b045671b8b24ff02"');
    expect(answer(', algorithm=MD5-sess, qop="auth"')).toContain("algorithm=MD5-sess");
  });

  test("what cannot be answered, or would break the line of the request, is no challenge", () => {
    for (const offer of ["Digest", 'Digest realm="r"', 'Digest realm="r", nonce="n", algorithm=SHA-512-256'])
      expect(digestChallenges([offer])).toEqual([]);
    expect(digestChallenges(['Digest realm="r", nonce="n", qop="auth-int"'])).toEqual([]);
    expect(digestChallenges(['Digest realm="a\rX: y", nonce="n"'])).toEqual([]);
    expect(digestChallenges(['Basic realm="b", Digest realm="a \\"q\\"", nonce=n'])).toMatchObject([
      { realm: 'a "q"' },
    ]);
  });
});

describe("SOCKS 5", () => {
  const PROXY = parseIp("203.0.113.20")!;
  const socks = (
    isForDatagrams = false,
    login: SocksProxyConfig["login"] = undefined,
    remote = REMOTE,
  ): Socks5Dialogue =>
    new Socks5Dialogue({ kind: "socks", host: "p", port: 1080, origin, login }, remote, isForDatagrams, PROXY);
  const said = (step: ProxyStep): number[] | string => (step.kind === "say" ? [...step.bytes] : failure(step));
  const begun = (...parts: Parameters<typeof socks>): Socks5Dialogue => {
    const it = socks(...parts);
    it.begin();
    return it;
  };
  const NAME = [...encodeUtf8("vpn.example")];
  const OK4 = [5, 0, 0, 1, 10, 0, 0, 1, 0x1f, 0x90];

  test("asks for a stream to a name, or an address of either family, without and with a login", () => {
    expect([...socks().begin()]).toEqual([5, 1, 0]);
    expect(said(fed(begun(), [5, 0]))).toEqual([5, 1, 0, 3, 11, ...NAME, 1, 187]);
    expect(said(fed(begun(false, undefined, { host: "192.0.2.1", port: 1 }), [5, 0]))).toEqual([
      5, 1, 0, 1, 192, 0, 2, 1, 0, 1,
    ]);
    expect(said(fed(begun(false, undefined, { host: "2001:db8::1", port: 1 }), [5, 0]))).toEqual([
      ...[5, 1, 0, 4, 0x20, 1, 0x0d, 0xb8, ...new Array(11).fill(0), 1, 0, 1],
    ]);
    expect([...socks(false, LOGIN).begin()]).toEqual([5, 2, 0, 2]);
    const it = begun(false, LOGIN);
    expect(said(fed(it, [5, 2]))).toEqual([1, 3, ...encodeUtf8("ann"), 7, ...encodeUtf8("s3:cret")]);
    expect(said(fed(it, [1, 0]))).toEqual([5, 1, 0, 3, 11, ...NAME, 1, 187]);
  });

  test("is open behind the reply, in however many pieces that comes; what follows is the server's", () => {
    for (const reply of [OK4, [5, 0, 0, 4, ...new Array(18).fill(1)], [5, 0, 0, 3, 2, 65, 66, 0, 1]]) {
      const it = begun();
      expect(fed(it, [5])).toEqual({ kind: "wait" });
      fed(it, [5, 0]);
      for (let cut = 0; cut < reply.length; cut++) expect(fed(it, reply.slice(0, cut))).toEqual({ kind: "wait" });
      expect(fed(it, [...reply, 9, 9])).toEqual({ kind: "open", used: reply.length, relay: undefined });
    }
  });

  test("names the relay of datagrams; 0.0.0.0 stands for the proxy itself", () => {
    const it = begun(true);
    expect(said(fed(it, [5, 0]))).toEqual([5, 3, 0, 1, 0, 0, 0, 0, 0, 0]);
    expect(fed(it, OK4)).toMatchObject({ kind: "open", relay: { address: parseIp("10.0.0.1"), port: 8080 } });
    const own = begun(true);
    fed(own, [5, 0]);
    expect(fed(own, [5, 0, 0, 1, 0, 0, 0, 0, 4, 0])).toMatchObject({ relay: { address: PROXY, port: 1024 } });
  });

  test("a refusal, and what is none of the protocol, ends it in words", () => {
    const after = (reply: number[], login?: SocksProxyConfig["login"]): string => {
      const it = begun(false, login);
      const step = fed(it, reply.slice(0, 2));
      return failure(step.kind === "say" ? fed(it, reply.slice(2)) : step);
    };
    expect(failure(fed(begun(), "HTTP/1.1 400"))).toContain("does not speak SOCKS 5");
    expect(after([5, 0xff])).toContain("socks-proxy HOST PORT FILE");
    expect(after([5, 1], LOGIN)).toContain("kind of login");
    const denied = begun(false, LOGIN);
    fed(denied, [5, 2]);
    expect(refusal(fed(denied, [1, 1]))).toBe("refuses user and password; correct them in login.txt");
    expect(after([5, 0, 5, 5, 0, 1, 0])).toBe("reports that the server refuses the connection");
    expect(after([5, 0, 5, 77, 0, 1, 0])).toContain("unknown error 77");
    expect(after([5, 0, 5, 0, 0, 9, 0])).toContain("unknown kind");
    expect(after([5, 0, 4, 0, 0, 1, 0])).toContain("something else");
    expect(failure(fed(begun(), [5, 0, 5, 0, 0]))).toBe("says more than it is asked");
  });
});
