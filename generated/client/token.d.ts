export interface Token {
    text: string;
    /** The user: `sub`. */
    user: string | undefined;
}
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
