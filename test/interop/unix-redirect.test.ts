/** What leaves a host by its cable while `morgana client` has its default route: a capture at the far end of it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { content, digest } from "../support/world/content.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { asHost, clientUp, HOST, hostState, namesInTunnel, writeProfile } from "../support/world/unix-client.ts";
import { SERVER, SITE, WAN_GATEWAY, World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

const LONG = 3 * PATIENCE * 1000;
const BYTES = 20_000_000;

describe.skipIf(NO_WORLD)("redirect-gateway", () => {
  let world: World;

  beforeAll(async () => {
    world = await World.create();
    await asHost(world);
    await world.server({ push: ["redirect-gateway def1", "block-ipv6", "dhcp-option DNS 10.8.0.1"] });
    await namesInTunnel(world, "www.example", SITE);
  }, 60_000);
  afterAll(() => world?.close());

  test(
    "only OpenVPN leaves: of a download that has moved to another network, of names, of what nobody answers, and of IPv6",
    async () => {
      const before = await hostState(world);
      const capture = await world.capture();
      const client = await clientUp(world, writeProfile(world, "redirect"));
      expect(await client.says(/ dns\.set /, PATIENCE)).toBeDefined();
      /** With the resolver that the client has set. */
      const onHost = async (script: string): Promise<string> =>
        (await world.in("rt", ["nsenter", `--mount=/proc/${client.pid}/ns/mnt`, "sh", "-c", script], 2 * PATIENCE)).out;
      const download = (how = ""): Promise<string> =>
        onHost(`curl -s -m 100 ${how} http://www.example:8080/bytes/${BYTES} | sha256sum`);
      const right = `${digest(content(BYTES))}  -\n`;
      expect(await download()).toBe(right);
      expect(await onHost("getent hosts elsewhere.test")).toBe("");
      await onHost("ping -n -c 1 -W 1 192.0.2.77; ping -n -c 1 -W 1 2001:db8:9::1; ping -n -c 1 -W 1 8.8.8.8");

      let isOver = false;
      const moving = download("--limit-rate 4M").finally(() => {
        isOver = true;
      });
      const received = (): Promise<string> => world.sh("rt", "cat /sys/class/net/tun0/statistics/rx_bytes");
      const start = Number(await received());
      await until(async () => Number(await received()) > start + BYTES / 20, PATIENCE);
      // At no time without an address there, as where systemd runs: what the kernel says of itself meanwhile would have the tunnel's.
      await world.sh(
        "rt",
        `echo 1 > /proc/sys/net/ipv4/conf/w0/promote_secondaries
         ip addr add 203.0.113.51/24 dev w0; ip addr del ${HOST}/24 dev w0
         ip route replace default via ${WAN_GATEWAY}`,
      );
      expect(isOver).toBe(false);
      expect(await moving).toBe(right);
      expect(await client.says(/ host\.moved /, PATIENCE)).toBeDefined();
      expect(await world.sh("rt", `ip route get ${SERVER}`)).toContain("src 203.0.113.51");

      const { sent, odd, openvpnBytes } = await world.tally(capture);
      // What a kernel says of itself: which groups it hears (MLD, RFC 3810), and that the socket of before is closed, to the server that still sends there.
      const ofItself = ["> 33:33:00:00:00:16,", `ICMP, 203.0.113.51 > ${SERVER}`];
      expect(odd.filter((frame) => !ofItself.some((words) => frame.includes(words)))).toEqual([]);
      expect([sent.dns, sent.dhcp]).toEqual([0, 0]);
      expect(openvpnBytes).toBeGreaterThan(2 * BYTES);
      for (const name of ["www.example", "elsewhere.test"])
        expect(world.daemon("names-in-tunnel").log()).toContain(`${name} from 10.8.0.2`);
      expect(world.daemon("dnsmasq").log()).not.toMatch(/www\.example|elsewhere\.test/);
      await capture.stop();

      await world.sh("rt", "ip route del default; ip addr del 203.0.113.51/24 dev w0");
      await asHost(world);
      expect(await world.stop("client")).toBe(0);
      expect(await hostState(world)).toBe(before);
    },
    LONG,
  );
});
