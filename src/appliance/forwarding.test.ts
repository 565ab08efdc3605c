import { expect, test } from "bun:test";
import { forwardingOf } from "./forwarding.ts";
import type { LoadResult } from "./profile.ts";
import { DEFAULT_SETTINGS } from "./settings/settings.ts";

function loaded(role: string, push: readonly string[], internet?: boolean): LoadResult {
  const settings = { ...DEFAULT_SETTINGS, server: { ...DEFAULT_SETTINGS.server, internet } };
  return { ok: true, settings, notices: [], warnings: [], config: { role, push } } as unknown as LoadResult;
}

test("clients reach the internet where the profile pushes redirect-gateway, unless the settings say what is so", () => {
  const internet = (push: readonly string[], said?: boolean): unknown => {
    const forwarding = forwardingOf(loaded("server", push, said));
    return forwarding.kind === "server" && forwarding.internet;
  };
  expect(internet(["route 10.0.0.0 255.0.0.0", "redirect-gateway def1"])).toBe(true);
  expect(internet(["redirect-gateway"])).toBe(true);
  expect(internet(["redirect-gateway-not"])).toBe(false);
  expect(internet([])).toBe(false);
  expect(internet(["redirect-gateway def1"], false)).toBe(false);
  expect(internet([], true)).toBe(true);
});

test("a client's LAN is translated as the settings say; a profile with problems is taken for a client's", () => {
  expect(forwardingOf(loaded("client", []))).toEqual({ kind: "client", nat: true });
  const broken: LoadResult = { ok: false, settings: DEFAULT_SETTINGS, notices: [], warnings: [], problems: [] };
  expect(forwardingOf(broken)).toEqual({ kind: "client", nat: true });
});
