import type { TokenKeeper } from "./token.js";
import type { OperationId } from "./types.js";
type Inputs = Record<string, unknown>;
type Answer = {
    status: number;
    data: unknown;
    headers: Record<string, string>;
};
type Merge = (current: unknown, body: unknown) => unknown;
export type Options = {
    signal?: AbortSignal;
    headers?: Record<string, string>;
    onConflict?: Merge;
};
export declare class Caller {
    #private;
    readonly tokens: TokenKeeper;
    readonly retries: number;
    constructor(baseUrl: string, tokens: TokenKeeper, retries: number);
    /** Calls an operation, and again with what `onConflict` returns. */
    call(id: OperationId, inputs?: Inputs, options?: Options): Promise<Answer>;
}
export {};
