// The problems of the contract as one type, for code that handles those of every operation in one place. `error` of a
// call has only the problems of its own operation.
import type { operations } from "../../generated/typescript/schema.d.ts";

type ProblemOf<Answer> = Answer extends { content: { "application/problem+json": infer Problem } } ? Problem : never;
type ProblemsOf<Answers> = { [Status in keyof Answers]: ProblemOf<Answers[Status]> }[keyof Answers];
export type AnyProblem = { [Id in keyof operations]: ProblemsOf<operations[Id]["responses"]> }[keyof operations];
