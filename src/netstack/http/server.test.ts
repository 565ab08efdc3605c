import { beforeEach, describe, expect, test } from "bun:test";
import { ascii } from "../../lib/bytes.ts";
import { parseIp } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import type { HttpResponse } from "./response.ts";
import { ANSWER_MS, HttpServer, LINGER_MS, MOST_CONNECTIONS, MOST_OF_HOST, READ_MS, SEND_MS } from "./server.ts";

let server: HttpServer;
let now = 1000;
beforeEach(() => {
  server = new HttpServer(seededRandom(1));
  now = 1000;
});

const host = (n: number) => parseIp(`192.168.50.${n}`)!;
const GET = ascii("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
const OK: HttpResponse = { status: 200, type: "text/plain", content: ascii("hello") };

const open = (n = 2): number => server.open(now, host(n));
/** Asks, and gives the number of the connection. */
function asked(n = 2, bytes = GET): number {
  const id = open(n);
  server.handle(now, id, bytes);
  return id;
}
const question = () => server.pollQuestion()?.id;
/** All that a connection sends while there is room. */
function sent(id: number): string {
  let text = "";
  for (let next = server.pollTransmit(); next?.id === id; next = server.pollTransmit()) {
    text += String.fromCharCode(...next.bytes);
    server.sent(now, id, next.bytes.length);
  }
  return text;
}
const ending = () => {
  const next = server.pollEnding();
  return next && `${next.how} ${next.id}`;
};
function pass(ms: number): void {
  now += ms;
  if (server.pollAt() <= now) server.handleTimeout(now);
}
const drops = () => server.counters.drops.snapshot();

test("one request, one answer, and the connection ends: nothing more is sent, and when the other end is done it is gone", () => {
  const id = asked();
  expect(server.pollAt()).toBe(Number.NEGATIVE_INFINITY);
  expect(question()).toBe(id);
  server.answer(now, id, OK);
  expect(sent(id)).toBe(
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
  );
  expect(ending()).toBe(`shutdown ${id}`);
  server.handleFinished(id);
  expect([ending(), server.count, server.pollAt()]).toEqual([`close ${id}`, 0, Number.POSITIVE_INFINITY]);
  expect(server.counters.counts.snapshot()).toEqual({ connections: 1, requests: 1, answers: 1 });
});

test("a HEAD is answered as a GET, without the content (RFC 9110 9.3.2)", () => {
  const id = asked(2, ascii("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n"));
  server.answer(now, id, OK);
  expect(sent(id)).toMatch(/Content-Length: 5\r\nConnection: close\r\n\r\n$/);
});

test("a second request behind the first gets nothing (RFC 9112 9.3.2 asks no more of a connection that closes)", () => {
  const id = asked();
  server.handle(now, id, GET);
  expect([question(), question()]).toEqual([id, undefined]);
  server.answer(now, id, OK);
  server.answer(now, id, OK);
  expect(sent(id).split("HTTP/1.1").length).toBe(2);
});

test("what comes behind a request is bounded", () => {
  const id = asked();
  for (let i = 0; i < 17; i++) server.handle(now, id, new Uint8Array(4096));
  expect(ending()).toBe(`abort ${id}`);
});

test("an answer goes on where it found no room", () => {
  const id = asked();
  question();
  server.answer(now, id, OK);
  const first = server.pollTransmit()!;
  server.sent(now, id, 10);
  expect([server.pollTransmit(), server.pollAt()]).toEqual([undefined, now + SEND_MS]);
  server.handleWritable(id);
  expect(server.pollTransmit()?.bytes.length).toBe(first.bytes.length - 10);
});

test("who has sent all that it will is answered, and then gone at once; without a request there is no answer", () => {
  const id = asked();
  server.handleFinished(id);
  server.answer(now, id, OK);
  expect(sent(id)).toContain("hello");
  expect(ending()).toBe(`close ${id}`);
  const other = open();
  server.handle(now, other, GET.subarray(0, 9));
  server.handleFinished(other);
  expect([ending(), server.pollTransmit()]).toEqual([`close ${other}`, undefined]);
});

describe("time", () => {
  test("a request that is not whole in time is answered by 408, nothing at all by nothing", () => {
    const [slow, silent] = [open(), open()];
    for (let i = 0; i < 9; i++) {
      server.handle(now, slow, GET.subarray(i, i + 1));
      pass(1000);
    }
    expect([ending(), server.pollTransmit()]).toEqual([undefined, undefined]);
    pass(READ_MS - 9000);
    expect(sent(slow)).toStartWith("HTTP/1.1 408 Request Timeout\r\n");
    expect([ending(), ending()]).toEqual([`close ${silent}`, `shutdown ${slow}`]);
    expect(drops()).toEqual({ slow: 2 });
  });

  test("an answer that is late is a 503, and what comes then is no answer any more", () => {
    const id = asked();
    pass(ANSWER_MS);
    server.answer(now, id, OK);
    expect(sent(id)).toStartWith("HTTP/1.1 503");
    expect(drops()).toEqual({ late: 1 });
  });

  test("who does not read, a little at a time, is broken off", () => {
    const id = asked();
    server.answer(now, id, OK);
    for (let i = 0; i < 10; i++) {
      server.pollTransmit();
      server.sent(now, id, 1);
      pass(SEND_MS / 10);
      server.handleWritable(id);
    }
    expect([ending(), server.count, drops()]).toEqual([`abort ${id}`, 0, { unread: 1 }]);
  });

  test("who does not close is waited for, for a moment", () => {
    const id = asked();
    server.answer(now, id, OK);
    sent(id);
    expect(ending()).toBe(`shutdown ${id}`);
    pass(LINGER_MS - 1);
    expect(ending()).toBeUndefined();
    pass(1);
    expect(ending()).toBe(`close ${id}`);
  });
});

describe("bounds", () => {
  test("a host that holds too many connections loses its oldest idle one to its next", () => {
    const all = Array.from({ length: MOST_OF_HOST }, () => open());
    expect(open()).toBeGreaterThan(0);
    expect(ending()).toBe(`abort ${all[0]}`);
    expect([server.count, drops()]).toEqual([MOST_OF_HOST, { "crowded-out": 1 }]);
  });

  test("many hosts that ask nothing keep nobody out: one of those that have most gives way", () => {
    for (let i = 0; server.count < MOST_CONNECTIONS; i++) open(10 + (i % 5));
    const id = asked(99);
    expect([id > 0, ending()?.split(" ")[0], server.count]).toEqual([true, "abort", MOST_CONNECTIONS]);
    server.answer(now, id, OK);
    expect(sent(id)).toContain("hello");
  });

  test("where all is full, it is the host that has most that loses one, not who came first", () => {
    for (let i = 0; i < MOST_CONNECTIONS - MOST_OF_HOST; i++) open(10 + (i % 6));
    const most = Array.from({ length: MOST_OF_HOST }, () => open(99));
    expect([server.count, open(50) > 0, ending()]).toEqual([MOST_CONNECTIONS, true, `abort ${most[0]}`]);
  });

  test("who waits for an answer does not give way: where all do, the next is refused", () => {
    for (let i = 0; i < MOST_CONNECTIONS; i++) asked(10 + (i % 8));
    expect(open(99)).toBe(0);
    expect(drops()).toEqual({ "no-room": 1 });
  });

  test("who asks too often is told to wait, and another host is not", () => {
    let limited = 0;
    for (let i = 0; i < 100; i++) {
      const id = asked(2);
      if (question() === undefined) {
        expect(sent(id)).toMatch(/^HTTP\/1\.1 429 [\s\S]*\r\nRetry-After: 1\r\n/);
        limited++;
      } else server.answer(now, id, OK);
      sent(id);
      server.handleFinished(id);
    }
    expect(limited).toBe(70);
    asked(3);
    expect(question()).toBeGreaterThan(0);
  });

  test("answers that slow readers do not take are bounded: then others get a 503, while any that is alone may be large", () => {
    const large = { ...OK, content: new Uint8Array(3 << 20) };
    const [a, b] = [asked(2), asked(3)];
    server.answer(now, a, large);
    server.answer(now, b, OK);
    expect(server.pollTransmit()?.bytes.length).toBeGreaterThan(3 << 20);
    server.sent(now, a, 1);
    expect(sent(b)).toStartWith("HTTP/1.1 503");
    expect(drops()).toEqual({ busy: 1 });
  });
});

test("a request that is none is answered by why, and nobody is asked", () => {
  const id = asked(2, ascii("nonsense\r\n\r\n"));
  expect(question()).toBeUndefined();
  expect(sent(id)).toBe(
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\nConnection: close\r\n\r\nBad Request.\n",
  );
  expect(drops()).toEqual({ malformed: 1 });
});

test("a connection that is over is forgotten, whatever still comes for it", () => {
  const id = asked();
  server.handleEnd(id);
  server.handle(now, id, GET);
  server.handleFinished(id);
  server.handleWritable(id);
  server.answer(now, id, OK);
  server.sent(now, id, 1);
  expect([server.count, server.pollTransmit(), server.pollEnding()]).toEqual([0, undefined, undefined]);
});
