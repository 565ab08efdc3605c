import { expect, test } from "bun:test";
import { formatProblem, inOrder } from "./problem.ts";

const at = (file: string, line: number, problem: string) => ({ origin: { file, line }, directive: "dev", problem });

test("FILE:LINE: directive: problem, and without a line what is about the whole", () => {
  expect(formatProblem(at("a.ovpn", 7, "is wrong"))).toBe("a.ovpn:7: dev: is wrong");
  expect(formatProblem(at("/etc/vpn", 0, "is empty"))).toBe("/etc/vpn: dev: is empty");
});

test("warnings and problems come in the order of their lines, file by file", () => {
  const warnings = [at("a", 2, "w2"), at("a", 9, "w9"), at("b", 1, "w1")];
  const problems = [at("b", 3, "p3"), at("a", 2, "p2"), at("a", 5, "p5")];
  const said = inOrder(warnings, problems).map(({ isWarning, found }) => `${isWarning ? "w" : "p"} ${found.problem}`);
  expect(said).toEqual(["w w1", "p p3", "p p2", "w w2", "p p5", "w w9"]);
});
