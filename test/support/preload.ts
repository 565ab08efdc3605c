/** Runs before every test file (bunfig.toml): with PCAP set, the networks of the netstack's tests are recorded. */
if (process.env["PCAP"] !== undefined) {
  const { bedTaps } = await import("../../src/netstack/testing/bed.ts");
  const { bedTap } = await import("./pcap-tap.ts");
  bedTaps.make = bedTap;
}

export {};
