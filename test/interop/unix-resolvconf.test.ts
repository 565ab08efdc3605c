/**
 * Both programs that are called resolvconf, as Debian has them, with the files of a host that are nobody else's: told of the tunnel's
 * resolvers, and to forget them.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { inUserNamespace } from "../support/world/privilege.ts";
import { type Daemon, PATIENCE, run } from "../support/world/process.ts";
import { morgana } from "../support/world/router.ts";
import { debianPackage } from "../support/world/systemd-host.ts";
import { asHost, writeProfile } from "../support/world/unix-client.ts";
import { World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

const LONG = 3 * PATIENCE * 1000;

/** Layers of memory over a host's files, with a package unpacked there; then it stays, so that others can come in. */
const HOST = `at=$1 deb=$2
mkdir $at; mount -t tmpfs tmpfs $at
for i in etc usr; do mkdir $at/$i $at/$i.work; mount -t overlay overlay -o lowerdir=/$i,upperdir=$at/$i,workdir=$at/$i.work /$i; done
mount -t tmpfs tmpfs /run
rm -rf /etc/resolvconf /lib/resolvconf /etc/resolv.conf
dpkg-deb --fsys-tarfile $deb | tar -x --keep-directory-symlink --exclude=./var -C /
case $deb in */resolvconf_*) mkdir -p /run/resolvconf/interface; ln -s ../run/resolvconf/resolv.conf /etc/resolv.conf; resolvconf --enable-updates;; esac
printf 'nameserver 203.0.113.1\nsearch home.example\n' | resolvconf -a w0.dhcp
echo ready; exec sleep infinity`;

const PACKAGES = ["openresolv", "resolvconf"] as const;
const CAN = !NO_WORLD && !inUserNamespace();

for (const name of PACKAGES)
  describe.skipIf(!CAN || debianPackage(name) === undefined)(name, () => {
    let world: World;
    let host: Daemon;
    let before: string;

    beforeAll(async () => {
      world = await World.create();
      await asHost(world);
      await world.server();
      const argv = ["sh", "-ec", HOST, "sh", join(world.dir, "layers"), debianPackage(name)!];
      host = world.start("host", "rt", ["unshare", "--mount", "--propagation", "private", ...argv]);
      if ((await host.says(/ready/, PATIENCE)) === undefined) throw new Error(host.log());
      before = await told();
      expect(before).toContain("nameserver 203.0.113.1\nsearch home.example\n");
    }, LONG);
    afterEach(async () => {
      await world.stop("client");
      expect(await told()).toBe(before);
    });
    afterAll(() => world?.close());

    const onHost = (argv: readonly string[]): string[] => ["nsenter", `--mount=/proc/${host.pid}/ns/mnt`, ...argv];
    /** What programs of the host ask, and what it is made of. */
    const told = async (): Promise<string> => {
      const script =
        "grep -v '^#' /etc/resolv.conf; cd /run/resolvconf/interface*; for i in *; do echo \"# $i\"; cat $i; done";
      return (await run(onHost(["sh", "-ec", script]))).out;
    };
    const asked = async (): Promise<string[]> =>
      ((await told()).split("\n#")[0] ?? "").match(/^(?:nameserver|search) .*$/gm) ?? [];

    /** Starts our client there, and waits until it has said what became of the resolvers. */
    async function client(lines: readonly string[] = []): Promise<Daemon> {
      const words = ["env", `RUNTIME_DIRECTORY=${join(world.dir, "run")}`, ...morgana(), "client"];
      const profile = writeProfile(world, "resolvers", { lines });
      const daemon = world.start("client", "rt", onHost([...words, profile]));
      if ((await daemon.says(/ dns\.(set|failed) /, PATIENCE)) === undefined) throw new Error(daemon.log());
      return daemon;
    }

    test(
      "is told the tunnel's resolver, which is asked first, and to forget it",
      async () => {
        const daemon = await client();
        expect(daemon.log()).toMatch(/ dns\.set by=resolvconf servers=10\.8\.0\.1/);
        // One of them keeps the host's own resolvers behind it, which is said.
        const isAlone = name === "openresolv";
        expect(await asked()).toEqual(
          isAlone ? ["nameserver 10.8.0.1"] : ["nameserver 10.8.0.1", "nameserver 203.0.113.1", "search home.example"],
        );
        expect(/ dns\.remark .*203\.0\.113\.1 as well/.test(daemon.log())).toBe(!isAlone);
        expect(await world.stop("client")).toBe(0);
      },
      LONG,
    );

    test(
      "what a client that was killed has told it is taken back at the next start",
      async () => {
        await client();
        expect(await world.stop("client", "SIGKILL")).not.toBe(0);
        expect(await asked()).toContain("nameserver 10.8.0.1");
        const profile = writeProfile(world, "bad", { lines: ["nonsense"] });
        const words = ["env", `RUNTIME_DIRECTORY=${join(world.dir, "run")}`, ...morgana(), "client", profile];
        expect(await world.start("client", "rt", onHost(words)).ended(PATIENCE)).toBe(1);
      },
      LONG,
    );

    test(
      "a resolver for some names alone is told where that can be said, and else it is said that it cannot",
      async () => {
        const lines = ["dns server 1 address 10.8.0.1", "dns server 1 resolve-domains intra.example"];
        const daemon = await client([...lines, 'pull-filter ignore "dhcp-option"']);
        expect(await asked()).toContain("nameserver 203.0.113.1");
        expect(await asked()).not.toContain("nameserver 10.8.0.1");
        if (name === "resolvconf") {
          expect(daemon.log()).toMatch(/ dns\.failed .*below intra\.example alone, which resolvconf cannot say/);
          return;
        }
        const { out } = await run(onHost(["resolvconf", "-v"]));
        expect(out).toContain("intra.example:10.8.0.1");
        // There is no resolver of its own here which could be told.
        expect(daemon.log()).toMatch(/ dns\.remark .*below intra\.example .*only where resolvconf has a resolver/);
      },
      LONG,
    );
  });
