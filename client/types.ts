import type { OptionalHeader, Operations } from "./operations.js";

export type OperationId = keyof Operations;

type Part<T> = [NonNullable<T>] extends [never] ? {} : NonNullable<T>;
type Flat<T> = { [K in keyof T]: T[K] } & {};
type Optional<T, Key> = Omit<T, Key & keyof T> & Partial<Pick<T, Key & keyof T>>;
type BodyOf<Request> = Request extends { content: infer Content }
  ? { [Type in keyof Content]: Type extends "application/x-ndjson" ? Content[Type][] : Content[Type] }[keyof Content]
  : never;

/** The body of an operation. */
export type Body<Id extends OperationId> = BodyOf<NonNullable<Operations[Id]["requestBody"]>>;
type RequiredBody<Id extends OperationId> = undefined extends Operations[Id]["requestBody"] ? never : "body";
type BodyPart<Id extends OperationId> = [Body<Id>] extends [never]
  ? {}
  : { [Name in RequiredBody<Id>]: Body<Id> } & { [Name in Exclude<"body", RequiredBody<Id>>]?: Body<Id> };
type Parameters<Id extends OperationId> = Operations[Id]["parameters"];

/** The parameters of an operation by their names, and its `body`. Without `user_id`, it is the user of the token. */
export type AnswerInput<Id extends OperationId> = Flat<
  Optional<Part<Parameters<Id>["path"]>, "user_id"> & Part<Parameters<Id>["query"]> &
    Part<Parameters<Id>["header"]> & BodyPart<Id>
>;
/** As `AnswerInput`, without the header whose answer has no data: 304. */
export type Input<Id extends OperationId> = Flat<Omit<AnswerInput<Id>, "If-None-Match">>;

type Statuses<Id extends OperationId> = keyof Operations[Id]["responses"];
type Success<Status> = Status extends number ? (`${Status}` extends `2${string}` | "304" ? Status : never) : never;
type DataOf<Response> = Response extends { content: infer Content } ? JsonOf<Content> : undefined;
type JsonOf<Content> = Content extends { "application/json": infer Data } ? Data : Blob;
type Known<Name> = Name extends string ? (string extends Name ? never : Name) : never;
type HeadersOf<Response> = Response extends { headers: infer All }
  ? { [Name in keyof All as Lowercase<Exclude<Known<Name>, OptionalHeader>>]: string } & {
      [Name in keyof All as Lowercase<Known<Name> & OptionalHeader>]?: string;
    }
  : never;

/** A success with its status and headers. The names of headers are in lower case: `headers.etag`. */
export type Answer<Id extends OperationId> = {
  [Status in Success<Statuses<Id>>]: {
    status: Status;
    data: DataOf<Operations[Id]["responses"][Status]>;
    headers: Flat<HeadersOf<Operations[Id]["responses"][Status]>>;
  };
}[Success<Statuses<Id>>];
/** What an operation returns. A body that is not JSON is a Blob. */
export type Data<Id extends OperationId> = Exclude<Answer<Id>, { status: 304 }>["data"];

type ProblemOf<Response> = Response extends { content: { "application/problem+json": infer Each } } ? Each : never;
type Responses = { [Id in OperationId]: Operations[Id]["responses"] }[OperationId];
type Distributed<Each> = Each extends unknown ? ProblemOf<Each[keyof Each]> : never;
/** Every problem of the contract. Its `type` tells them apart. */
export type Problem = Distributed<Responses>;

type Conflict<Id extends OperationId> = Operations[Id]["responses"] extends {
  412: { content: { "application/problem+json": { task: infer Current } } };
} ? {
    /**
     * Called if another request has changed the task since the `If-Match` of this one (412). Returns the body to send
     * instead, or null to give up.
     */
    onConflict?: (current: Current, body: Body<Id> | undefined) => Merged<Id> | Promise<Merged<Id>>;
  } : {};
type Merged<Id extends OperationId> = Body<Id> | null | undefined;

export type CallOptions<Id extends OperationId> = {
  /** Aborts the call, its retries included. */
  signal?: AbortSignal;
  /** Further headers, such as `Accept`. */
  headers?: Record<string, string>;
} & Conflict<Id>;

type Arguments<Id extends OperationId, In> = {} extends In
  ? [input?: In, options?: CallOptions<Id>]
  : [input: In, options?: CallOptions<Id>];

/** The operations of the contract, by their names. Each returns its data, and throws a `TodoApiError`. */
export type Calls = { [Id in keyof Operations]: (...given: Arguments<Id, Input<Id>>) => Promise<Data<Id>> };
/** The same operations, which return status and headers too. */
export type Answers = { [Id in keyof Operations]: (...given: Arguments<Id, AnswerInput<Id>>) => Promise<Answer<Id>> };
