/** `npm run build`: dist/morgana, one binary with Bun inside. Does nothing when what it is made of has not changed. */
import { build } from "./build-binary.ts";
import { commandLine } from "./command-line.ts";

commandLine("usage: npm run build\n\nMakes dist/morgana, unless it is there and of these sources.", {});
await build();
