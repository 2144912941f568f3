export interface Token {
    text: string;
    /** The user: `sub`. */
    user: string | undefined;
}
/**
 * Returns a `getToken` that fetches `{"token": "…"}` from a route of the frontend. 401 means that the user is signed out;
 * every other answer without a token is an exception.
 */
export declare const tokenFrom: (url: string) => () => Promise<string | null>;
/** Keeps the token of one user. Calls at the same time share one request for it. */
export declare class TokenKeeper {
    #private;
    readonly getToken: () => string | null | Promise<string | null>;
    constructor(getToken: () => string | null | Promise<string | null>);
    /** Returns the token; null: the user is signed out. Rejects if `getToken` does. */
    get(): Promise<Token | null>;
    /** Forgets the kept token, also one that is being requested; with `rejected`, only if it is that one. */
    forget(rejected?: Token): void;
}
