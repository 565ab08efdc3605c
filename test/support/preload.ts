/** Runs before every test file (bunfig.toml). With PCAP set, the networks of the netstack's tests are recorded. */
// The X.509 library throws at load without it.
import "reflect-metadata";

if (process.env["PCAP"] !== undefined) {
  const { bedTaps } = await import("../../src/netstack/testing/bed.ts");
  const { bedTap } = await import("./pcap-tap.ts");
  bedTaps.make = bedTap;
}
