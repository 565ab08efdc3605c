import { expect, test } from "bun:test";
import { type IpAddress, parseIp } from "../lib/ip.ts";
import { Families } from "./families.ts";

const ip = (text: string): IpAddress => parseIp(text) as IpAddress;

class Network {
  readonly log: string[] = [];
  usesIpv6 = false;
  readonly families: Families;

  constructor(fixed: IpAddress[] = []) {
    this.families = new Families(fixed, () => this.usesIpv6, {
      up: () => void this.log.push("up"),
      resolvers: (servers) => void this.log.push(`dns ${servers.join(" ")}`),
      lost: (reason) => void this.log.push(`lost ${reason}`),
      down: (_now, reason) => void this.log.push(`down ${reason}`),
    });
  }

  take(): string[] {
    return this.log.splice(0);
  }
}

test("the first family that is up is a network, the last that goes is its end; DNS servers are those of both", () => {
  const n = new Network();
  const { v4, v6 } = n.families;
  expect(n.families.isUp).toBe(false);
  v6.resolvers([ip("2001:db8::53")]);
  v6.up(1);
  expect([n.take(), n.families.isUp]).toEqual([["dns 2001:db8::53", "up"], true]);
  v4.up(2, [ip("9.9.9.9")]);
  expect(n.take()).toEqual(["dns 9.9.9.9 2001:db8::53", "up"]);
  v4.resolvers([ip("1.1.1.1")]);
  v6.down(3, "six");
  expect(n.take()).toEqual(["dns 1.1.1.1 2001:db8::53", "lost six"]);
  v4.down(4, "four");
  expect([n.take(), n.families.isUp]).toEqual([["dns 2001:db8::53", "lost four", "down four"], false]);
  v6.up(5);
  n.take();
  v6.down(6, "six");
  expect(n.take()).toEqual(["lost six", "down six"]);
});

test("a tunnel by one family does not begin anew for what the other one does, and goes to the other one when its own is gone", () => {
  const n = new Network();
  const { v4, v6 } = n.families;
  v4.up(1, []);
  n.take();
  v6.up(2);
  v6.up(3);
  v6.down(4, "six");
  v6.up(5);
  expect(n.take()).toEqual(["lost six"]);
  v4.down(6, "four");
  expect(n.take()).toEqual(["dns ", "lost four", "up"]);
  n.usesIpv6 = true;
  v4.up(7, []);
  v4.down(8, "four");
  v4.up(9, []);
  expect(n.take()).toEqual(["dns ", "dns ", "lost four", "dns "]);
  v6.up(10); // another address
  v6.down(11, "six");
  expect(n.take()).toEqual(["up", "lost six", "up"]);
});

test("a link that takes both families with it is one loss", () => {
  const n = new Network();
  n.families.v4.up(1, []);
  n.families.v6.up(1);
  n.take();
  n.families.v6.down(2, "the WAN link is down");
  n.families.v4.down(2, "the WAN link is down");
  expect(n.take()).toEqual(["lost the WAN link is down", "dns ", "down the WAN link is down"]);
});

test("DNS servers of the file count alone", () => {
  const n = new Network([ip("192.0.2.53")]);
  n.families.v6.resolvers([ip("2001:db8::53")]);
  n.families.v4.up(1, [ip("9.9.9.9")]);
  expect(n.take()).toEqual(["dns 192.0.2.53", "dns 192.0.2.53", "up"]);
});
