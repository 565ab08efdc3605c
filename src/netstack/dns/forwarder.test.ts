/** The forwarder as dialogues: a host asks, servers are asked and answer, hosts are told; time is virtual. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  A,
  AA,
  AAAA,
  AD,
  CD,
  CNAME,
  type DnsMessage,
  encodeDns,
  HTTPS,
  ipv4,
  ipv6,
  NS,
  nameBytes,
  PTR,
  QR,
  RA,
  RD,
  RRSIG,
  SOA,
  soaData,
  TC,
  TXT,
  u16,
} from "../testing/dns.ts";
import { DnsBed, HOST, HOST2, ip, S1, S2, type SentQuestion, server } from "../testing/dns-bed.ts";
import type { DnsServerGroup } from "./upstreams.ts";

const NAME = "www.some-long-name.example";
const WEB = ipv4("203.0.113.9");
const a = (ttl = 300, data = WEB, name = "@") => ({ name, type: A, ttl, data });
const question = (message: DnsMessage = {}): DnsMessage => ({ name: NAME, type: A, ...message });

/** A forwarder that was asked, and what it asked. */
function asked(message: DnsMessage = {}, options = {}): [DnsBed, SentQuestion] {
  const bed = new DnsBed(options);
  expect(bed.ask(question(message))).toBeUndefined();
  return [bed, bed.one()];
}

describe("a question that is asked on", () => {
  test("keeps its name, type, RD, AD, CD and DO, and nothing else of its sender (RFC 5625 6.1, RFC 4035 3.2)", () => {
    const [, sent] = asked({
      id: 0x5555,
      flags: RD | AD | CD,
      edns: { dnssecOk: true, options: Uint8Array.of(0, 8, 0, 2, 1, 2) },
    });
    expect(sent).toMatchObject({ to: S1, type: A, questions: 1, flags: RD | AD | CD });
    expect(sent.name.toLowerCase()).toBe(NAME);
    expect(sent.edns).toEqual({ size: 1232, dnssecOk: true, extendedError: undefined });
    expect(sent.length).toBe(encodeDns(question({ edns: {} })).length);
    expect(asked({ flags: 0 })[1].flags).toBe(0);
  });

  test("has an id, a socket with a random port, and capitals of its own (RFC 5452 9.2)", () => {
    const ids = new Set<number>();
    const names = new Set<string>();
    for (let seed = 1; seed <= 20; seed++) {
      const [bed, sent] = asked({}, { seed });
      ids.add(sent.id);
      names.add(sent.name);
      expect([...bed.forwarder.asking.sockets]).toEqual([[sent.socket, 0]]);
    }
    expect(ids.size).toBeGreaterThan(18);
    expect(names.size).toBeGreaterThan(18);
  });

  test("is answered with the asker's id and letters; everything else comes as it was sent (RFC 3597 3, RFC 4035 3.2)", () => {
    const bed = new DnsBed();
    bed.ask(question({ id: 77, name: "WWW.some-LONG-name.example", flags: RD | AD, edns: { dnssecOk: true } }));
    const sent = bed.one();
    const odd = { name: "@", type: 65_280, ttl: 5, data: Uint8Array.of(0, 1, 255, 65, 97) };
    const signature = { name: "@", type: RRSIG, ttl: 300, data: new Uint8Array(60).fill(7) };
    const other = { name: "Other.Example", type: NS, ttl: 9, data: Uint8Array.from(nameBytes("nS.Example")) };
    bed.answer(sent, {
      flags: QR | RD | RA | AD | AA,
      answers: [a(), odd, signature],
      authority: [other],
      additional: [a(60, ipv4("198.51.100.1"), "nS.Example")],
      edns: { dnssecOk: true, size: 4096 },
    });
    const [given] = bed.given();
    expect(given).toMatchObject({ id: 77, name: "WWW.some-LONG-name.example", to: `${HOST}`, port: 40_000 });
    expect(given?.flags).toBe(QR | RD | RA | AD | AA);
    expect(given?.answers.map(({ type, ttl, data }) => [type, ttl, data])).toEqual([
      [A, 300, WEB],
      [65_280, 5, odd.data],
      [RRSIG, 300, signature.data],
    ]);
    expect(given?.authority).toEqual([{ ...other, cls: 1 }]);
    expect(given?.additional.map(({ name }) => name)).toEqual(["nS.Example"]);
    expect(given?.edns).toEqual({ size: 1232, dnssecOk: true, extendedError: undefined });
    expect([...bed.forwarder.asking.sockets]).toEqual([]);
  });

  test("of a host without EDNS is answered without (RFC 6891 7)", () => {
    const [bed, sent] = asked();
    bed.answer(sent, { answers: [a()], edns: {} });
    expect(bed.given()[0]?.edns).toBeUndefined();
    expect(bed.ask(question())).toMatchObject({ edns: undefined, answers: [{ ttl: 300 }] });
  });
});

describe("what is no answer to it", () => {
  const ANSWER = { answers: [a()] };
  const lies: readonly [string, (bed: DnsBed, sent: SentQuestion) => void, string][] = [
    ["another id", (bed, sent) => bed.answer(sent, { id: sent.id ^ 1, ...ANSWER }), "WrongId"],
    ["another server", (bed, sent) => bed.answer(sent, ANSWER, S2), "WrongServer"],
    ["another port of the server", (bed, sent) => bed.answer(sent, ANSWER, S1, 5353), "WrongServer"],
    ["another socket", (bed, sent) => bed.answer({ ...sent, socket: sent.socket + 1 }, ANSWER), "Unexpected"],
    [
      "another name",
      (bed, sent) => bed.answer(sent, { name: "www.some-long-name.exampla", ...ANSWER }),
      "WrongQuestion",
    ],
    ["another type", (bed, sent) => bed.answer(sent, { type: AAAA, ...ANSWER }), "WrongQuestion"],
    ["another class", (bed, sent) => bed.answer(sent, { cls: 3, ...ANSWER }), "WrongQuestion"],
    ["a question", (bed, sent) => bed.answer(sent, { flags: RD, ...ANSWER }), "BadAnswer"],
    ["a notification", (bed, sent) => bed.answer(sent, { flags: QR | 0x2000, ...ANSWER }), "BadAnswer"],
    ["no question", (bed, sent) => bed.reply(sent.socket, encodeDns({ id: sent.id, flags: QR })), "BadAnswer"],
    ["less than a header", (bed, sent) => bed.reply(sent.socket, sent.bytes.slice(0, 11)), "BadAnswer"],
    ["a record that is cut off", (bed, sent) => bed.reply(sent.socket, cut(sent, ANSWER)), "BadAnswer"],
  ];
  test.each(lies)("%s: counted, and the right one is still taken (RFC 5452 9.1)", (_what, lie, name) => {
    const [bed, sent] = asked();
    lie(bed, sent);
    expect([bed.given(), bed.count(name)]).toEqual([[], 1]);
    bed.answer(sent, { answers: [a()] });
    expect(bed.given()).toHaveLength(1);
    expect(bed.said).toEqual([name, ""]);
  });

  test("a second answer is to nothing", () => {
    const [bed, sent] = asked();
    bed.answer(sent, { answers: [a()] }).answer(sent, { answers: [a(9, ipv4("198.51.100.66"))] });
    expect(bed.said).toEqual(["", "Unexpected"]);
    expect(bed.given()).toHaveLength(1);
  });

  test("who guesses ids makes the question move to another socket and id", () => {
    const [bed, sent] = asked();
    for (let i = 1; i <= 16; i++) bed.answer(sent, { id: sent.id ^ i, answers: [a()] });
    const again = bed.one();
    expect(again.socket).not.toBe(sent.socket);
    bed.answer(sent, { answers: [a()] });
    expect(bed.given()).toEqual([]);
    bed.answer(again, { answers: [a()] });
    expect(bed.given()).toHaveLength(1);
  });

  test("other letters: the same server is asked again without capitals, with another id and socket; after three it is so at once", () => {
    const bed = new DnsBed();
    const lower = (sent: SentQuestion): SentQuestion => ({ ...sent, name: sent.name.toLowerCase() });
    for (const host of ["first", "second", "third"]) {
      const name = `${host}.some-long-name.example`;
      bed.ask({ name });
      const sent = bed.one();
      expect(sent.name).not.toBe(name);
      bed.answer(lower(sent), { answers: [a()] });
      expect(bed.given()).toEqual([]);
      const again = bed.one();
      expect(again).toMatchObject({ name, to: S1 });
      expect([again.id === sent.id, again.socket === sent.socket]).toEqual([false, false]);
      bed.answer(again, { answers: [a()] });
      expect(bed.given()).toHaveLength(1);
    }
    expect(bed.count("WrongCase")).toBe(3);
    bed.ask({ name: "A.fourth.some-long-name.example" });
    const sent = bed.one();
    expect(sent.name).toBe("A.fourth.some-long-name.example");
    bed.answer(lower(sent), { answers: [a()] });
    expect(bed.given()[0]?.name).toBe("A.fourth.some-long-name.example");
    bed.pass(3_600_000);
    bed.ask({ name: "fifth.some-long-name.example" });
    expect(bed.one().name).not.toBe("fifth.some-long-name.example");
  });

  test("what an answer says beside is believed of no other name", () => {
    const [bed, sent] = asked();
    bed.answer(sent, { answers: [a()], additional: [a(300, ipv4("198.51.100.66"), "bank.example")] });
    bed.given();
    expect(bed.ask({ name: "bank.example" })).toBeUndefined();
    expect(bed.one().name.toLowerCase()).toBe("bank.example");
  });

  function cut(sent: SentQuestion, message: DnsMessage): Uint8Array {
    return encodeDns({ id: sent.id, name: sent.name, flags: QR, ...message }).slice(0, -1);
  }
});

describe("equal questions", () => {
  test("are asked once; everybody who waits is told, with the own id, letters and room", () => {
    const [bed, sent] = asked({ id: 1 });
    bed.ask(question({ id: 2, name: NAME.toUpperCase(), edns: {} }), HOST2, 5000);
    bed.ask(question({ id: 2 }), HOST, 40_000, 9);
    expect(bed.sent()).toEqual([]);
    bed.answer(sent, { answers: [a()] });
    expect(bed.given().map(({ id, name, to, port, stream, edns }) => [id, name, to, port, stream, edns?.size])).toEqual(
      [
        [1, NAME, `${HOST}`, 40_000, 0, undefined],
        [2, NAME.toUpperCase(), `${HOST2}`, 5000, 0, 1232],
        [2, NAME, `${HOST}`, 40_000, 9, undefined],
      ],
    );
    expect([bed.count("Forwarded"), bed.count("Joined"), bed.count("Answered")]).toEqual([1, 2, 1]);
  });

  test("of one host that repeats itself get one answer", () => {
    const [bed, sent] = asked({ id: 1 });
    bed.ask(question({ id: 1 }));
    bed.answer(sent, { answers: [a()] });
    expect(bed.given()).toHaveLength(1);
  });

  test.each([
    ["type", { type: AAAA }],
    ["CD", { flags: RD | CD }],
    ["AD", { flags: RD | AD }],
    ["RD", { flags: 0 }],
    ["DO", { edns: { dnssecOk: true } }],
  ] as [string, DnsMessage][])("with another %s are others", (_what, message) => {
    const [bed, sent] = asked();
    bed.ask(question(message));
    const other = bed.one();
    bed.answer(sent, { answers: [a()] });
    expect(bed.given()).toHaveLength(1);
    expect(bed.ask(question(message))).toBeUndefined();
    bed.answer(other, { answers: [a()] });
    expect(bed.given()).toHaveLength(1);
  });

  test("a question of ours that comes back to the letter is a loop, and refused", () => {
    const [bed, sent] = asked();
    expect(bed.ask(question({ name: sent.name }), HOST2)).toMatchObject({ rcode: 5 });
    expect(bed.count("Loop")).toBe(1);
  });

  test("in a name of few letters the same capitals are an accident", () => {
    const bed = new DnsBed();
    bed.ask({ name: "ab.example" });
    expect(bed.ask({ name: bed.one().name }, HOST2)).toBeUndefined();
  });

  test("64 may wait for one answer", () => {
    const [bed] = asked();
    for (let i = 1; i < 64; i++) expect(bed.ask(question({ id: i }), HOST, 1000 + i)).toBeUndefined();
    expect(bed.ask(question({ id: 99 }), HOST2)).toMatchObject({ rcode: 2 });
  });
});

describe("what was answered", () => {
  function known(message: DnsMessage, options = {}): DnsBed {
    const [bed, sent] = asked({}, options);
    bed.answer(sent, message);
    bed.given();
    return bed;
  }

  test("is given again with TTLs counted down, until the first record is too old (RFC 1035 4.1.3)", () => {
    const alias = { name: "@", type: CNAME, ttl: 600, data: Uint8Array.from(nameBytes("b.example")) };
    const bed = known({ flags: QR | RD | RA | AA, answers: [alias, a(300, WEB, "b.example")], edns: {} });
    bed.pass(299_999);
    const again = bed.ask(question({ id: 9, name: NAME.toUpperCase(), edns: {} }));
    expect(again?.answers.map(({ ttl }) => ttl)).toEqual([301, 1]);
    // not from the authority any more (RFC 1035 4.1.1)
    expect(again).toMatchObject({ id: 9, name: NAME.toUpperCase(), flags: QR | RD | RA, edns: { size: 1232 } });
    bed.pass(1);
    expect(bed.ask(question())).toBeUndefined();
    expect(bed.count("Cached")).toBe(1);
  });

  test("whichever record is the first to be too old", () => {
    for (const ttls of [
      [100, 300],
      [300, 100],
    ]) {
      const bed = known({ answers: ttls.map((ttl) => a(ttl)) });
      bed.pass(99_999);
      expect(bed.ask(question())?.answers.map(({ ttl }) => ttl)).toEqual(ttls.map((ttl) => ttl - 99));
      bed.pass(1);
      expect(bed.ask(question())).toBeUndefined();
    }
  });

  test.each([
    ["a TTL of 0", { answers: [a(0)] }],
    ["a TTL with the top bit (RFC 2181 8)", { answers: [a(0x80000001)] }],
    ["NXDOMAIN without SOA (RFC 2308 5)", { flags: QR | RA | 3 }],
    ["an empty answer without SOA (RFC 2308 5)", {}],
    ["a truncated answer (RFC 2181 9)", { flags: QR | RA | TC, answers: [a()] }],
  ] as [string, DnsMessage][])("is not kept with %s", (_what, message) => {
    expect(known(message).ask(question())).toBeUndefined();
  });

  test.each([
    ["NXDOMAIN", 3],
    ["an empty answer", 0],
  ])("%s is kept as long as SOA says, by the lesser of its TTL and minimum (RFC 2308 5)", (_what, rcode) => {
    for (const [ttl, minimum, kept] of [
      [900, 60, 60],
      [60, 900, 60],
      [100_000, 100_000, 10_800],
    ] as const) {
      const bed = known({
        flags: QR | RA | rcode,
        authority: [{ name: "example", type: SOA, ttl, data: soaData(minimum) }],
      });
      bed.pass(kept * 1000 - 1);
      expect(bed.ask(question())).toMatchObject({
        rcode,
        answers: [],
        authority: [{ type: SOA, ttl: ttl - kept + 1 }],
      });
      bed.pass(1);
      expect(bed.ask(question())).toBeUndefined();
    }
  });

  test("is kept for a day at most", () => {
    const bed = known({ answers: [a(1_000_000)] });
    bed.pass(86_399_999);
    expect(bed.ask(question())?.answers[0]?.ttl).toBe(1_000_000 - 86_399);
    bed.pass(1);
    expect(bed.ask(question())).toBeUndefined();
  });

  test("is forgotten with its servers, and is there again when the same ones come back", () => {
    const bed = known({ answers: [a()] });
    const servers = [{ domains: [], servers: [server(S1), server(S2)] }];
    bed.forwarder.setServers(bed.now, [], []);
    expect(bed.ask(question())).toMatchObject({ rcode: 2, answers: [] });
    bed.forwarder.setServers(bed.now, servers, []);
    expect(bed.ask(question())).toMatchObject({ rcode: 0, answers: [{ data: WEB }] });
    bed.forwarder.setServers(bed.now, [{ domains: [], servers: [server("10.9.0.1")] }], []);
    expect(bed.ask(question())).toBeUndefined();
  });
});

describe("room", () => {
  const long = { answers: [a(), { name: "@", type: TXT, ttl: 300, data: new Uint8Array(600).fill(65) }] };
  const huge = { answers: [{ name: "@", type: TXT, ttl: 300, data: new Uint8Array(1170).fill(65) }] };

  test("without EDNS 512 bytes are given by UDP, else TC and nothing (RFC 1035 4.2.1, RFC 2181 9)", () => {
    const [bed, sent] = asked();
    bed.answer(sent, long);
    for (const given of [bed.given()[0], bed.ask(question())])
      expect([given?.flags, given?.answers, given?.name]).toEqual([QR | RD | RA | TC, [], NAME]);
  });

  test.each([
    [{ size: 700 }, true],
    [{ size: 600 }, false],
    [{ size: 10 }, false],
    [{ size: 4096 }, true],
  ])("with EDNS what it says, at least 512 (RFC 6891 6.2.3): %p", (edns, fits) => {
    const [bed, sent] = asked({ edns });
    bed.answer(sent, long);
    const [given] = bed.given();
    expect([given?.answers.length, (given?.flags ?? 0) & TC, given?.edns?.size]).toEqual([
      fits ? 2 : 0,
      fits ? 0 : TC,
      1232,
    ]);
  });

  test("1232 bytes are the most by UDP, whatever the asker takes; by TCP there is room", () => {
    const [bed, sent] = asked({ type: TXT, edns: { size: 65_535 } });
    bed.answer(sent, huge);
    expect((bed.given()[0]?.flags ?? 0) & TC).toBe(TC);
    expect(bed.ask(question({ type: TXT, edns: {} }), HOST, 1, 3)).toMatchObject({ answers: [{ type: TXT }] });
  });

  test("what the server cut off is told as such (RFC 5625 6.2)", () => {
    const [bed, sent] = asked();
    bed.answer(sent, { flags: QR | RD | RA | TC, answers: [a()] });
    expect(bed.given()).toMatchObject([{ flags: QR | RD | RA | TC, answers: [] }]);
  });
});

describe("what a server cut off", () => {
  const CUT = { flags: QR | RD | RA | TC, answers: [a()] };
  const long = {
    answers: [
      { name: "@", type: A, ttl: 300, data: WEB },
      { name: "@", type: TXT, ttl: 300, data: new Uint8Array(3000) },
    ],
  };

  /** Two hosts that ask the same, one by UDP and one by TCP; the server says that there is more. */
  function cut(): [DnsBed, SentQuestion] {
    const bed = new DnsBed();
    bed.ask(question({ id: 1 }));
    bed.ask(question({ id: 2 }), HOST2, 5000, 4);
    bed.answer(bed.one(), CUT);
    const [dial, ...more] = bed.dials();
    expect([more, bed.sent()]).toEqual([[], []]);
    return [bed, dial as SentQuestion];
  }

  test("is asked for by TCP, at the same server, for who came by TCP; who came by UDP is told at once (RFC 5625 6.2)", () => {
    const [bed, dial] = cut();
    expect(bed.given()).toMatchObject([{ id: 1, flags: QR | RD | RA | TC, answers: [] }]);
    expect(dial).toMatchObject({ to: S1, type: A });
    bed.message(dial, long);
    expect(bed.given()).toMatchObject([{ id: 2, stream: 4, answers: [{ type: A }, { type: TXT }] }]);
    expect(bed.ask(question({ id: 3 }), HOST, 1, 9)).toMatchObject({ id: 3, answers: [{ type: A }, { type: TXT }] });
    expect((bed.ask(question({ edns: {} }))?.flags ?? 0) & TC).toBe(TC);
    expect(bed.hangUps()).toEqual([dial.socket]);
  });

  test("is not asked for by TCP where only UDP waits", () => {
    const bed = new DnsBed();
    bed.ask(question());
    bed.answer(bed.one(), CUT);
    expect([bed.dials(), bed.given().length]).toEqual([[], 1]);
  });

  test("another id, question or letters by TCP are no answer either: the next server is asked", () => {
    for (const lie of [{ id: 0 }, { name: "other.example" }, { name: NAME }]) {
      const [bed, dial] = cut();
      bed.given();
      bed.message(dial, { ...long, ...lie });
      expect(bed.given()).toEqual([]);
      const next = [...bed.dials(), ...bed.sent()];
      expect(next).toHaveLength(1);
    }
  });

  test("a server that is not there by TCP: the next one is asked, and in the end the host is told", () => {
    const [bed, dial] = cut();
    bed.given();
    bed.forwarder.asking.handleDialEnd(bed.now, dial.socket);
    expect(bed.one().to).toBe(S2);
    bed.forwarder.asking.handleDialEnd(bed.now, dial.socket);
    bed.pass(5000);
    expect(bed.given()).toMatchObject([{ id: 2, rcode: 2, stream: 4 }]);
  });

  test("silence by TCP costs 3 s", () => {
    const [bed] = cut();
    bed.pass(2999);
    expect(bed.sent()).toEqual([]);
    bed.pass(1);
    expect(bed.one().to).toBe(S2);
  });

  test("nothing more is put or kept once nobody waits", () => {
    const bed = new DnsBed();
    bed.ask(question(), HOST, 1, 4);
    bed.answer(bed.one(), CUT);
    bed.forwarder.setServers(bed.now, [], []);
    expect([bed.dials(), bed.hangUps(), bed.given()]).toMatchObject([[], [], [{ rcode: 2, stream: 4 }]]);
  });
});

describe("a server that is asked by TLS alone", () => {
  const TLS: DnsServerGroup = { domains: [], servers: [server(S1, 853)], tls: { name: "dns.example" } };
  const SECOND: DnsServerGroup = { domains: [], servers: [server(S2)] };

  test("is never asked by UDP; the question is padded to 128 bytes (RFC 8467 4.1) and has no capitals", () => {
    const bed = new DnsBed({ servers: [TLS] });
    for (const name of ["a.example", "a-name-that-is-longer.than.the.other.one.example"]) {
      bed.ask(question({ name }));
      const [dial] = bed.dials();
      expect(dial).toMatchObject({ to: S1, name, edns: { size: 1232 } });
      expect([dial!.bytes.length, dial!.tls]).toEqual([128, { name: "dns.example" }]);
      bed.message(dial!, { answers: [{ name: "@", type: A, data: WEB }] });
    }
    expect([bed.sent(), bed.given().length, [...bed.forwarder.asking.sockets]]).toEqual([[], 2, []]);
  });

  test("and its padding is a well formed option (RFC 7830 3)", () => {
    const bed = new DnsBed({ servers: [TLS] });
    bed.ask(question({ name: "a.example" }));
    const { bytes } = bed.dials()[0]!;
    const opt = 12 + 11 + 4;
    const option = [0, 12, 0, 128 - opt - 15];
    expect([...bytes.slice(opt, opt + 15)]).toEqual([
      0,
      0,
      41,
      1232 >> 8,
      1232 & 255,
      0,
      0,
      0,
      0,
      0,
      128 - opt - 11,
      ...option,
    ]);
    expect(bytes.slice(opt + 15).every((byte) => byte === 0)).toBe(true);
  });

  test("and cannot be reached: the next one is asked, and after two such ends it rests", () => {
    const bed = new DnsBed({ servers: [TLS, SECOND] });
    for (const name of ["a.example", "b.example"]) {
      bed.ask(question({ name }));
      bed.forwarder.asking.handleDialEnd(bed.now, bed.dials()[0]!.socket);
      bed.answer(bed.one(), { answers: [] });
    }
    expect(bed.events()).toEqual([{ kind: "server-down", server: `tls://${S1}:853#dns.example` }]);
    bed.ask(question({ name: "c.example" }));
    expect([bed.dials(), bed.one().to]).toEqual([[], S2]);
  });

  test("says that it is well again", () => {
    const bed = new DnsBed({ servers: [TLS] });
    bed.ask(question());
    for (let i = 0; i < 2; i++) bed.forwarder.asking.handleDialEnd(bed.now, bed.dials()[0]!.socket);
    bed.pass(4500);
    bed.dials();
    bed.pass(10_000);
    bed.ask(question({ name: "b.example" }));
    bed.events();
    bed.message(bed.dials()[0]!, { answers: [] });
    expect(bed.events()).toEqual([{ kind: "server-up", server: `tls://${S1}:853#dns.example` }]);
  });

  test("has no more to say than comes: who wants the whole is told that there is none", () => {
    const bed = new DnsBed({ servers: [TLS] });
    bed.ask(question(), HOST, 1, 4);
    bed.message(bed.dials()[0]!, { flags: QR | RA | TC });
    expect([bed.dials(), bed.given()]).toMatchObject([[], [{ rcode: 2, stream: 4 }]]);
  });

  test("is another one than the same address in the clear, or with another name", () => {
    const bed = new DnsBed({ servers: [TLS] });
    const seen: string[] = [];
    for (const tls of [TLS.tls, { name: "other.example" }, { name: undefined }, undefined]) {
      bed.forwarder.setServers(bed.now, [{ ...TLS, tls }], []);
      bed.ask(question());
      seen.push(...bed.dials().map((dial) => `TLS ${dial.tls?.name}`), ...bed.sent().map(() => "UDP"));
    }
    expect(seen).toEqual(["TLS dns.example", "TLS other.example", "TLS undefined", "UDP"]);
  });
});

describe("servers", () => {
  test("one that does not answer costs a second, then the next is asked; a late answer counts", () => {
    const [bed, sent] = asked();
    bed.pass(999);
    expect(bed.sent()).toEqual([]);
    bed.pass(1);
    expect(bed.one().to).toBe(S2);
    bed.answer(sent, { answers: [a()] });
    expect(bed.given()).toHaveLength(1);
  });

  test("when none answers the host is told before it gives up, and it is remembered (RFC 9520 3.2)", () => {
    const [bed] = asked({ edns: {} });
    const to = [];
    for (let ms = 0; ms < 4499; ms++)
      to.push(
        ...bed
          .pass(1)
          .sent()
          .map((sent) => sent.to),
      );
    expect([to, bed.given()]).toEqual([[S2, S1, S2, S1], []]);
    bed.pass(1);
    expect(bed.given()).toMatchObject([{ rcode: 2, edns: { extendedError: 22 } }]);
    bed.pass(4999);
    expect(bed.ask(question({ edns: {} }))).toMatchObject({ rcode: 2 });
    bed.pass(1);
    expect(bed.ask(question({ edns: {} }))).toBeUndefined();
    expect(bed.count("Unanswered")).toBe(1);
  });

  test("six questions are put for one at most, however soon a server is given up", () => {
    const bed = new DnsBed();
    bed.ask({ name: "quick.example" });
    bed.pass(5).answer(bed.one(), { answers: [a()] });
    bed.given();
    bed.ask(question());
    let sent = 0;
    for (let ms = 0; ms < 4500; ms++) sent += bed.pass(1).sent().length;
    expect([sent, bed.given().length]).toEqual([6, 1]);
  });

  test("one that was silent twice is passed over for a while, is tried with one question, and is back when it answers", () => {
    const bed = new DnsBed();
    for (const name of ["a.example", "b.example"]) {
      bed.ask({ name });
      expect(bed.one().to).toBe(S1);
      bed.pass(1000);
      bed.answer(bed.one(), { answers: [a()] });
    }
    expect(bed.events()).toEqual([{ kind: "server-down", server: `${S1}:53` }]);
    bed.ask({ name: "c.example" });
    bed.answer(bed.one(), { answers: [a()] });
    bed.pass(5000);
    const to = ["d.example", "e.example"].map((name) => {
      bed.ask({ name });
      return bed.one();
    });
    expect(to.map(({ to }) => to)).toEqual([S1, S2]);
    bed.answer(to[0] as SentQuestion, { answers: [a()] });
    expect(bed.events()).toEqual([{ kind: "server-up", server: `${S1}:53` }]);
    bed.ask({ name: "f.example" });
    expect(bed.one().to).toBe(S1);
  });

  test.each([
    ["SERVFAIL", 2],
    ["REFUSED", 5],
    ["NOTIMP", 4],
  ])("%s: the next is asked at once; when all say so, so does the answer, for 5 s", (_what, rcode) => {
    const bed = new DnsBed();
    bed.ask(question());
    bed.answer(bed.one(), { flags: QR | RA | RD | rcode, edns: {} });
    const second = bed.one();
    expect(second.to).toBe(S2);
    bed.answer(second, { flags: QR | RA | RD | rcode, edns: {} });
    expect(bed.given()).toMatchObject([{ rcode, name: NAME }]);
    expect(bed.ask(question())).toMatchObject({ rcode });
    bed.pass(5000);
    expect(bed.ask(question())).toBeUndefined();
    expect(bed.count("ServerFailure")).toBe(1);
  });

  test("one that knows no EDNS is asked without (RFC 6891 7), and from then on", () => {
    const [bed, sent] = asked();
    bed.reply(sent.socket, encodeDns({ id: sent.id, flags: QR | 1 }));
    const again = bed.one();
    expect([again.to, again.edns]).toEqual([S1, undefined]);
    bed.answer(again, { answers: [a()] });
    expect(bed.given()).toHaveLength(1);
    bed.ask({ name: "b.example" });
    expect(bed.one().edns).toBeUndefined();
  });

  test("names of a split domain are asked of its servers only, by the longest domain", () => {
    const bed = new DnsBed({
      servers: [
        { domains: [], servers: [server(S1)] },
        { domains: ["corp.example"], servers: [server("10.8.0.3", 5353)] },
        { domains: ["lab.corp.example", "8.10.in-addr.arpa"], servers: [server("10.8.0.4")] },
      ],
    });
    const to = (name: string, type = A): string => {
      bed.ask({ name, type });
      return bed.one().to;
    };
    expect(to("corp.example")).toBe("10.8.0.3");
    expect(to("a.B.CORP.example")).toBe("10.8.0.3");
    expect(to("x.lab.corp.example")).toBe("10.8.0.4");
    expect(to("notcorp.example")).toBe(S1);
    expect(to("1.0.8.10.in-addr.arpa", PTR)).toBe("10.8.0.4");
  });

  test("none, or none for the name: SERVFAIL at once, and an event that says so", () => {
    const bed = new DnsBed({ servers: [{ domains: ["corp.example"], servers: [server(S1)] }] });
    expect(bed.ask(question({ edns: {} }))).toMatchObject({ rcode: 2, edns: { extendedError: 14 } });
    expect(bed.events()).toEqual([{ kind: "no-server", name: NAME }]);
    bed.forwarder.setServers(bed.now, [], []);
    expect(bed.ask({ name: "a.corp.example" })).toMatchObject({ rcode: 2 });
    expect(bed.sent()).toEqual([]);
  });

  test("whoever waits when they go is told at once", () => {
    const [bed] = asked();
    bed.forwarder.setServers(bed.now, [], []);
    expect(bed.given()).toMatchObject([{ rcode: 2 }]);
    expect([bed.forwarder.asking.sockets.size, bed.sent()]).toEqual([0, []]);
  });
});

describe("a private address of a public name (DNS rebinding)", () => {
  const svcb = (key: number, value: Uint8Array): Uint8Array =>
    Uint8Array.from([
      0,
      1,
      ...nameBytes("t.example"),
      ...u16(1),
      ...u16(3),
      2,
      104,
      50,
      ...u16(key),
      ...u16(value.length),
      ...value,
    ]);
  const GOOD = ipv4("203.0.113.1");
  test.each([
    ...["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.50.2", "127.0.0.1", "169.254.1.1", "0.0.0.0"].map((t) => [
      t,
      A,
      ipv4(t),
    ]),
    ...[
      "fc00:0:0:0:0:0:0:1",
      "fd12:0:0:0:0:0:0:1",
      "fe80:0:0:0:0:0:0:1",
      "febf:0:0:0:0:0:0:1",
      "fec0:0:0:0:0:0:0:1",
    ].map((t) => [t, AAAA, ipv6(t)]),
    ...["0:0:0:0:0:0:0:0", "0:0:0:0:0:0:0:1", "0:0:0:0:0:ffff:a00:1", "0:0:0:0:0:0:a00:1", "64:ff9b:0:0:0:0:a00:1"].map(
      (t) => [t, AAAA, ipv6(t)],
    ),
    ["a hint of HTTPS", HTTPS, svcb(4, Uint8Array.from([...GOOD, ...ipv4("192.168.50.2")]))],
    ["a hint of IPv6", HTTPS, svcb(6, ipv6("fd00:0:0:0:0:0:0:1"))],
  ] as [string, number, Uint8Array][])("%s is refused, and said", (_what, type, data) => {
    const [bed, sent] = asked({ type, edns: {} });
    bed.answer(sent, { answers: [{ name: "@", type, data }] });
    expect(bed.given()).toMatchObject([{ rcode: 5, answers: [], edns: { extendedError: 15 } }]);
    expect(bed.events()).toEqual([{ kind: "private-answer", name: NAME, server: `${S1}:53` }]);
    expect(bed.ask(question({ type }))).toMatchObject({ rcode: 5 });
  });

  test.each([
    ...["9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.0.1", "192.169.0.1", "100.64.0.1"].map(
      (t) => [t, A, ipv4(t)],
    ),
    ["fbff::", AAAA, ipv6("fbff:0:0:0:0:0:0:1")],
    ["ff00::", AAAA, ipv6("ff00:0:0:0:0:0:0:1")],
    ["NAT64 of a public address", AAAA, ipv6("64:ff9b:0:0:0:0:cb00:7101")],
    ["a public hint", HTTPS, svcb(4, GOOD)],
  ] as [string, number, Uint8Array][])("%s passes", (_what, type, data) => {
    const [bed, sent] = asked({ type });
    bed.answer(sent, { answers: [{ name: "@", type, data }] });
    expect(bed.given()).toMatchObject([{ rcode: 0, answers: [{ data }] }]);
  });

  test.each([
    "host.corp.example",
    "corp.example",
    "a.split.example",
    "intranet",
    "x.corp",
    "a.internal",
    "nas.home.arpa",
  ])("%s may have one", (name) => {
    const servers = [
      { domains: [], servers: [server(S1)] },
      { domains: ["split.example"], servers: [server(S1)] },
    ];
    const bed = new DnsBed({ servers, privateDomains: ["corp.example"] });
    bed.ask({ name });
    bed.answer(bed.one(), { answers: [a(300, ipv4("10.1.1.1"))] });
    expect(bed.given()).toMatchObject([{ rcode: 0, answers: [{ data: ipv4("10.1.1.1") }] }]);
  });

  test("beside the answer it does no harm", () => {
    const [bed, sent] = asked();
    bed.answer(sent, { answers: [a()], additional: [a(300, ipv4("10.0.0.1"), "ns.example")] });
    expect(bed.given()).toMatchObject([{ rcode: 0 }]);
  });
});

describe("names that are answered here", () => {
  const hosts = {
    addressesOf: (label: string) => (label === "alpha" ? [ip("192.168.50.100"), ip("fd00::100")] : []),
    nameOf: (address: ReturnType<typeof ip>) => (address.equals(ip("192.168.50.100")) ? "alpha" : undefined),
  };
  const bed = (): DnsBed => new DnsBed({ hosts, domain: "home.lan" });

  test.each([
    ["alpha.home.lan", A, ipv4("192.168.50.100")],
    ["ALPHA.Home.LAN", A, ipv4("192.168.50.100")],
    ["alpha.home.lan", AAAA, ipv6("fd00:0:0:0:0:0:0:100")],
    ["alpha", A, ipv4("192.168.50.100")],
    ["morgana.home.lan", A, ipv4("192.168.50.1")],
    ["localhost", A, ipv4("127.0.0.1")],
    ["a.localhost", AAAA, ipv6("0:0:0:0:0:0:0:1")],
    ["100.50.168.192.in-addr.arpa", PTR, Uint8Array.from(nameBytes("alpha.home.lan"))],
    ["1.50.168.192.in-addr.arpa", PTR, Uint8Array.from(nameBytes("morgana.home.lan"))],
  ] as [string, number, Uint8Array][])("%s %d", (name, type, data) => {
    const b = bed();
    expect(b.ask({ name, type, id: 3 })).toMatchObject({
      id: 3,
      name,
      flags: QR | AA | RD | RA,
      answers: [{ name, type, data }],
    });
    expect(b.sent()).toEqual([]);
  });

  test.each([
    ["unknown.home.lan", A, 3, "home.lan"],
    ["a.alpha.home.lan", A, 3, "home.lan"],
    ["alpha.home.lan", TXT, 0, "home.lan"],
    ["home.lan", SOA, 0, "home.lan"],
    ["morgana.home.lan", AAAA, 0, "home.lan"],
    ["localhost", TXT, 0, "localhost"],
    ["a.invalid", A, 3, "invalid"],
    ["x.onion", A, 3, "onion"],
    ["_dns.resolver.arpa", 64, 0, "resolver.arpa"],
    ["9.50.168.192.in-addr.arpa", PTR, 3, "50.168.192.in-addr.arpa"],
    ["lb._dns-sd._udp.0.50.168.192.in-addr.arpa", PTR, 3, "50.168.192.in-addr.arpa"],
    ["50.168.192.in-addr.arpa", NS, 0, "50.168.192.in-addr.arpa"],
    ["1.0.16.172.in-addr.arpa", PTR, 3, "16.172.in-addr.arpa"],
    ["10.in-addr.arpa", SOA, 0, "10.in-addr.arpa"],
    ["256.168.192.in-addr.arpa", NS, 3, "168.192.in-addr.arpa"],
    ["1.2.64.100.in-addr.arpa", PTR, 3, "64.100.in-addr.arpa"],
    ["1.0.0.127.in-addr.arpa", PTR, 3, "127.in-addr.arpa"],
    [`${"0.".repeat(30)}d.f.ip6.arpa`, PTR, 3, "d.f.ip6.arpa"],
    [`${"0.".repeat(29)}8.e.f.ip6.arpa`, PTR, 3, "8.e.f.ip6.arpa"],
    [`1.${"0.".repeat(31)}ip6.arpa`, PTR, 3, `${"0.".repeat(31)}ip6.arpa`],
  ] as [string, number, number, string][])(
    "%s %d is rcode %d, says the zone %s (RFC 2308 3)",
    (name, type, rcode, zone) => {
      const b = bed();
      const answer = b.ask({ name, type, edns: {} });
      expect(answer).toMatchObject({
        rcode,
        answers: [],
        authority: [{ name: zone, type: SOA }],
        edns: { size: 1232 },
      });
      expect(b.sent()).toEqual([]);
    },
  );

  test.each([
    ["ipv4only.arpa", A],
    ["lan", A],
    ["alpha.lan", A],
    ["xhome.lan", A],
    ["beta", A],
    ["beta", NS],
    ["1.113.0.203.in-addr.arpa", PTR],
    ["172.in-addr.arpa", PTR],
    ["1.0.32.172.in-addr.arpa", PTR],
    ["in-addr.arpa", NS],
    ["8.b.d.0.1.0.0.2.ip6.arpa", PTR],
    ["localhost.example", A],
    ["", NS],
  ] as [string, number][])("%s %d is not", (name, type) => {
    const b = bed();
    expect(b.ask({ name, type })).toBeUndefined();
    expect(b.one().name.toLowerCase()).toBe(name);
  });

  test("a label with a dot in it is no two labels", () => {
    const b = bed();
    const bytes = [...encodeDns({ name: "aXlocalhost" })];
    bytes[14] = 46;
    expect(b.raw(Uint8Array.from(bytes))).toBeUndefined();
  });

  test("they are there without a server, too", () => {
    const b = new DnsBed({ hosts, servers: [] });
    expect(b.ask({ name: "alpha.lan" })).toMatchObject({ answers: [{ type: A }] });
  });
});

describe("questions that are refused", () => {
  const OPT = { name: "", type: 41, cls: 1232, ttl: 0, data: new Uint8Array(0) };
  test.each([
    ["ANY (RFC 8482 4)", question({ type: 255 }), 5, "Type"],
    ["AXFR", question({ type: 252 }), 5, "Type"],
    ["IXFR", question({ type: 251 }), 5, "Type"],
    ["OPT as a type", question({ type: 41 }), 5, "Type"],
    ["TSIG as a type", question({ type: 250 }), 5, "Type"],
    ["class CH", question({ name: "version.bind", type: TXT, cls: 3 }), 5, "Class"],
    ["class ANY", question({ cls: 255 }), 5, "Class"],
    ["UPDATE (RFC 2136)", question({ flags: 0x2800 }), 4, "Opcode"],
    ["NOTIFY", question({ flags: 0x2000 }), 4, "Opcode"],
    ["no question", { flags: RD }, 1, "QuestionCount"],
    ["an answer in a question", question({ answers: [a()] }), 1, "QuestionCount"],
    ["two OPT records (RFC 6891 6.1.1)", question({ additional: [OPT], edns: {} }), 1, "BadQuery"],
    [
      "OPT of another name than the root (RFC 6891 6.1.2)",
      question({ additional: [{ ...OPT, name: "a" }] }),
      1,
      "BadQuery",
    ],
  ] as [string, DnsMessage, number, string][])("%s", (_what, message, rcode, name) => {
    const bed = new DnsBed();
    const answer = bed.ask({ id: 7, ...message });
    expect(answer).toMatchObject({ id: 7, rcode, answers: [] });
    expect((answer?.flags ?? 0) & 0x7800).toBe((message.flags ?? 0) & 0x7800);
    expect([bed.count(name), bed.sent()]).toEqual([1, []]);
  });

  test("another version of EDNS: BADVERS, and which one is known (RFC 6891 6.1.3)", () => {
    expect(new DnsBed().ask(question({ edns: { version: 1 } }))).toMatchObject({ rcode: 16, edns: { size: 1232 } });
  });

  test.each([
    ["a pointer as the name", [0xc0, 12, 0, 1, 0, 1]],
    ["a name without end", [3, 97, 97, 97]],
    ["a name of 256 bytes", [...new Array<number[]>(128).fill([1, 97]).flat(), 0, 0, 1, 0, 1]],
    ["a name without a type", [1, 97, 0, 0, 1]],
  ])("%s: FORMERR without the question", (_what, bytes) => {
    const bed = new DnsBed();
    const answer = bed.raw(Uint8Array.from([0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...bytes]));
    expect(answer).toMatchObject({ id: 9, rcode: 1, questions: 0, length: 12 });
    expect(bed.count("BadName")).toBe(1);
  });

  test("bytes behind the last record: FORMERR", () => {
    const bed = new DnsBed();
    expect(bed.raw(Uint8Array.from([...encodeDns(question()), 0]))).toMatchObject({ rcode: 1, name: NAME });
  });

  test.each([
    ["an answer (a loop of two)", encodeDns(question({ flags: QR })), HOST, "Response"],
    ["less than a header", encodeDns(question()).slice(0, 11), HOST, "Short"],
    ["more than any question has", new Uint8Array(1501), HOST, "Long"],
    ["from outside of the LAN", encodeDns(question()), ip("203.0.113.5"), "ForeignAsker"],
  ] as [string, Uint8Array, typeof HOST, string][])("no answer to %s", (_what, bytes, from, name) => {
    const bed = new DnsBed();
    expect(bed.raw(bytes, from)).toBeUndefined();
    expect([bed.count(name), bed.sent(), bed.given()]).toEqual([1, [], []]);
  });
});

describe("bounds", () => {
  test("one host has a quarter of what is asked at once; another one has room", () => {
    const bed = new DnsBed();
    const ask = (i: number, from = HOST) => bed.ask({ name: `n${i}.example` }, from);
    for (let i = 0; i < 256; i++) expect(ask(i)).toBeUndefined();
    expect(ask(256)).toMatchObject({ rcode: 2 });
    expect(ask(257, HOST2)).toBeUndefined();
    expect([bed.count("Busy"), bed.forwarder.asking.sockets.size]).toEqual([1, 257]);
  });

  test("in a full table the oldest question of the host that has most gives way", () => {
    const bed = new DnsBed();
    const ask = (host: number, i: number) =>
      bed.ask({ name: `n${i}.h${host}.example`, id: i }, ip(`192.168.50.${host}`));
    for (let host = 10; host < 14; host++) for (let i = 0; i < 256; i++) expect(ask(host, i)).toBeUndefined();
    expect(ask(20, 0)).toBeUndefined();
    expect(bed.given()).toMatchObject([{ rcode: 2, id: 0 }]);
    expect(bed.forwarder.asking.sockets.size).toBe(1024);
  });

  test("a host that asks too often is not answered, and the others are", () => {
    const bed = new DnsBed();
    bed.ask(question());
    bed.answer(bed.one(), { answers: [a(86_400)] });
    let answered = 0;
    for (let i = 0; i < 40_000; i++) if (bed.ask(question()) !== undefined) answered++;
    expect(answered).toBeLessThan(30_000);
    expect(bed.count("RateLimited")).toBe(40_000 - answered);
    expect(bed.ask(question(), HOST2)).toBeDefined();
    bed.pass(1000);
    expect(bed.ask(question())).toBeDefined();
  });

  test("questions for servers are fewer: 1000 at once for one host, however soon they end", () => {
    const bed = new DnsBed();
    let asked = 0;
    for (let i = 0; i < 1500; i++) {
      if (bed.ask({ name: `n${i}.example` }) !== undefined) continue;
      asked++;
      bed.answer(bed.one(), { flags: QR | RA | 3 });
    }
    expect(asked).toBe(1000);
  });
});

test("whatever comes, from both sides: nothing throws, everything ends, and an answer is one to its question, within its room", () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 10 }),
    fc.constantFrom(Uint8Array.of(0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 9, 9, 9, 9)),
  );
  const input = fc.record({
    side: fc.constantFrom("host", "server", "server", "time"),
    counts: fc.tuple(fc.constantFrom(1, 1, 1, 0, 2), fc.nat(2), fc.nat(1), fc.nat(1)),
    flags: fc.constantFrom(RD, QR | RD | RA, QR | 3, QR | TC, 0xffff, 0),
    name: fc.constantFrom("a.example", "b.example", "lan", "x.lan", "1.0.0.10.in-addr.arpa"),
    rest: fc.array(piece, { maxLength: 3 }),
    ms: fc.nat(3000),
  });
  fc.assert(
    fc.property(fc.array(input, { maxLength: 40 }), (inputs) => {
      const bed = new DnsBed();
      const open: SentQuestion[] = [];
      for (const { side, counts, flags, name, rest, ms } of inputs) {
        const body = [...counts.flatMap((n) => [0, n]), ...nameBytes(name), 0, 1, 0, 1, ...rest.flatMap((r) => [...r])];
        const message = (id: number): Uint8Array => Uint8Array.from([...u16(id), ...u16(flags), ...body]);
        const last = open.at(-1);
        if (side === "host") {
          const answer = bed.raw(message(77));
          if (answer !== undefined)
            expect([answer.id, answer.flags & QR, answer.length <= 1232]).toEqual([77, QR, true]);
        } else if (side === "time") bed.pass(ms);
        else if (last !== undefined) bed.reply(last.socket, message(last.id), last.to);
        open.push(...bed.sent());
        for (const { id, flags: given, length } of bed.given())
          expect([id, given & QR, length <= 1232]).toEqual([77, QR, true]);
      }
      bed.pass(5000);
      expect([bed.forwarder.asking.sockets.size, bed.forwarder.asking.pollAt()]).toEqual([0, Number.POSITIVE_INFINITY]);
    }),
    { numRuns: 400 },
  );
});
