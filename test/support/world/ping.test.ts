import { expect, test } from "bun:test";
import { answered, lastAnswered, roundTrips, unanswered } from "./ping.ts";

const OUT = `PING 10.8.0.1 (10.8.0.1) 56(84) bytes of data.
64 bytes from 10.8.0.1: icmp_seq=1 ttl=64 time=0.5 ms
64 bytes from 10.8.0.1: icmp_seq=3 ttl=64 time=0.5 ms
64 bytes from 10.8.0.1: icmp_seq=3 ttl=64 time=0.6 ms (DUP!)
From 192.168.50.1 icmp_seq=4 Destination Net Unreachable
64 bytes from 10.8.0.1: icmp_seq=5 ttl=64 time=0.5 ms
`;

test("what is counted are answers, each request once, and of the requests that were to be answered", () => {
  expect([answered(OUT, 5), answered(OUT, 4), answered("", 3)]).toEqual([3, 2, 0]);
  expect([lastAnswered(OUT), lastAnswered("")]).toEqual([5, 0]);
  expect([unanswered(OUT), unanswered("")]).toEqual([2, 0]);
});

test("round trips are sorted, the first answer counts, and none is for ever", () => {
  expect(roundTrips(OUT, 5)).toEqual([0.5, 0.5, 0.5, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  expect(roundTrips(OUT, 1)).toEqual([0.5]);
});
