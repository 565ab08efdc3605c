import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Mac, parseMac } from "../../lib/mac.ts";
import { chooseNics, findNics, keepSides, type Nic, pciAddress } from "./nics.ts";

const directory = mkdtempSync(join(tmpdir(), "morgana-nics-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const mac = (text: string): Mac => parseMac(text) as Mac;
const A: Nic = { name: "eth0", index: 2, pci: "0000:00:02.0", mac: mac("52:54:00:00:00:01") };
const B: Nic = { name: "eth1", index: 3, pci: "0000:00:03.0", mac: mac("52:54:00:00:00:02") };
const C: Nic = { name: "eth2", index: 4, pci: "0000:00:04.0", mac: mac("52:54:00:00:00:03") };
const wishes = (wan?: Nic, lan?: Nic) => ({ wan: { mac: wan?.mac }, lan: { mac: lan?.mac } });

test("cards are found in the order of their PCI addresses, whatever their names are; lo and bridges are not cards", () => {
  const net = join(directory, "net");
  const card = (name: string, device: string | undefined, address: string, type = "1"): void => {
    mkdirSync(join(net, name), { recursive: true });
    writeFileSync(join(net, name, "address"), `${address}\n`);
    writeFileSync(join(net, name, "type"), `${type}\n`);
    writeFileSync(join(net, name, "ifindex"), "7\n");
    if (device === undefined) return;
    mkdirSync(join(directory, device), { recursive: true });
    symlinkSync(join(directory, device), join(net, name, "device"));
  };
  card("lo", undefined, "00:00:00:00:00:00", "772");
  card("br0", undefined, "52:54:00:00:00:09");
  card("eth0", "devices/pci0000:00/0000:00:0a.0/virtio2", "52:54:00:00:00:02");
  card("eth1", "devices/pci0000:00/0000:00:03.0/virtio1", "52:54:00:00:00:01");
  card("eth2", "devices/platform/virtio-mmio.0/virtio0", "52:54:00:00:00:03");
  card("eth3", "devices/pci0000:00/0000:00:02.0/0000:01:00.0/virtio3", "52:54:00:00:00:04");
  expect(findNics(net).map(({ name, pci }) => [name, pci])).toEqual([
    ["eth1", "0000:00:03.0"],
    ["eth0", "0000:00:0a.0"],
    ["eth3", "0000:01:00.0"],
    ["eth2", ""],
  ]);
  expect(findNics(join(directory, "nowhere"))).toEqual([]);
  expect(pciAddress("/sys/devices/pci0000:00/0000:00:1f.2/usb1")).toBe("0000:00:1f.2");
});

test("the first is the WAN, the second the LAN, unless appliance.toml names them", () => {
  expect(chooseNics([A, B, C], wishes())).toEqual({ ok: true, wan: A, lan: B });
  expect(chooseNics([A, B], wishes(B))).toEqual({ ok: true, wan: B, lan: A });
  expect(chooseNics([A, B], wishes(undefined, A))).toEqual({ ok: true, wan: B, lan: A });
  expect(chooseNics([A, B, C], wishes(C, A))).toEqual({ ok: true, wan: C, lan: A });
});

test("a missing card is named with the way to add it", () => {
  const missing = (nics: Nic[], w = wishes()): readonly string[] => {
    const choice = chooseNics(nics, w);
    return choice.ok ? [] : choice.missing;
  };
  expect(missing([A])).toHaveLength(1);
  expect(missing([A])[0]).toMatch(/^no LAN NIC: .*only one network card \(eth0 52:54:00:00:00:01.*virtio-net-pci/);
  expect(missing([]).map((text) => text.slice(0, 10))).toEqual(["no WAN NIC", "no LAN NIC"]);
  expect(missing([A, B], wishes(C))[0]).toMatch(/no WAN NIC.*52:54:00:00:00:03.*appliance\.toml/);
  expect(missing([A, B], wishes(A, A))[0]).toMatch(/same card/);
});

test("after a card was pulled the other keeps its side, wherever the new one is plugged in", () => {
  const chosen = { wan: B, lan: C };
  const after = (lost: ("wan" | "lan")[], nics: Nic[], w = wishes()) => chooseNics(nics, keepSides(w, chosen, lost));
  expect(after(["wan"], [A, C])).toEqual({ ok: true, wan: A, lan: C });
  expect(after(["lan"], [A, B])).toEqual({ ok: true, wan: B, lan: A });
  expect(after(["wan"], [C]).ok).toBe(false);
  expect(after(["wan", "lan"], [B, C])).toEqual({ ok: true, wan: B, lan: C });
  // What appliance.toml names counts.
  expect(after(["wan"], [A, C], wishes(B)).ok).toBe(false);
  expect(after(["wan"], [B, C], wishes(B))).toEqual({ ok: true, wan: B, lan: C });
});
