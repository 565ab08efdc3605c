/** `npm run build`: dist/morgana, one binary with Bun inside. Does nothing when what it is made of has not changed. */
import { build } from "./build-binary.ts";

await build();
