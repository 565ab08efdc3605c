import { controlPrimitivesContract } from "../../../test/support/contract/control-primitives.ts";
import { noblePrimitives } from "../../protocol/control/noble-primitives.ts";
import { LibcryptoPrimitives } from "./control-primitives.ts";

controlPrimitivesContract("libcrypto by FFI", () => new LibcryptoPrimitives());
controlPrimitivesContract("noble", () => noblePrimitives);
