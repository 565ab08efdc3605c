/** A world whose router is the booted image. */
import { afterAll, afterEach, beforeAll, setDefaultTimeout } from "bun:test";
import { canMakeNamespaces } from "./privilege.ts";
import { until } from "./process.ts";
import { BOOT_SECONDS, startVm, type Vm, type VmOptions, vmProblem } from "./vm.ts";
import { GATEWAY, World } from "./world.ts";

export const canBoot: boolean = canMakeNamespaces() && vmProblem() === undefined;

export interface BootedWorld {
  /** From the first test on. Its server runs. */
  readonly world: World;
  /** Switches a machine on, with the world's own config disk unless told otherwise. One at a time: it is killed after the test. */
  boot(options?: Partial<VmOptions>): Promise<Vm>;
  /** Waits until the gateway of the LAN answers. */
  answersOnLan(router: Vm): Promise<void>;
}

/** To be called first in a `describe`: what it needs is there before its tests, and gone after them. */
export function bootedWorld(): BootedWorld {
  let world: World;
  let vm: Vm | undefined;
  setDefaultTimeout(400_000);
  beforeAll(async () => {
    world = await World.create();
    await world.server();
  });
  afterEach(async () => {
    if (vm?.alive) await vm.kill();
    vm = undefined;
  });
  afterAll(() => world?.close());
  return {
    get world() {
      return world;
    },
    async boot(options = {}) {
      vm = await startVm(world, { config: world.config(), ...options });
      return vm;
    },
    async answersOnLan(router) {
      const answer = async (): Promise<boolean> => (await world.ping(GATEWAY, 1, ["-W", "1"])).back === 1;
      if ((await until(answer, BOOT_SECONDS)) === undefined)
        throw new Error(`the gateway does not answer:\n${router.log().slice(-3000)}`);
    },
  };
}
