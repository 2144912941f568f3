/** Keeps the token of one user. Calls at the same time share one request for it. */
export class TokenKeeper {
    getToken;
    #kept;
    constructor(getToken) {
        this.getToken = getToken;
    }
    /** Returns the token; null: the user is signed out. Rejects if `getToken` does. */
    get() {
        if (this.#kept && Date.now() < this.#kept.until)
            return this.#kept.request;
        const kept = { request: this.#request(), until: Infinity };
        kept.request.then((token) => Object.assign(kept, { token, until: token ? Date.now() + usableFor(token.text) : 0 }), () => (kept.until = 0));
        this.#kept = kept;
        return kept.request;
    }
    /** Forgets the kept token, also one that is being requested; with `rejected`, only if it is that one. */
    forget(rejected) {
        if (!rejected || this.#kept?.token === rejected)
            this.#kept = undefined;
    }
    async #request() {
        const text = await this.getToken();
        return text ? { text, user: claims(text).sub } : null;
    }
}
function claims(token) {
    try {
        const payload = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
        return JSON.parse(new TextDecoder().decode(Uint8Array.from(payload, (each) => each.charCodeAt(0))));
    }
    catch {
        return {};
    }
}
/** Milliseconds until 30 s before the token expires, or half of the time until then if that is less than a minute. */
function usableFor(token) {
    const now = Date.now() / 1000;
    const { iat = now, exp = now } = claims(token);
    // A clock outside of the token's lifetime is wrong: the token is taken for a new one.
    const left = exp - (iat <= now && now < exp ? now : iat);
    return 1000 * Math.max(left - 30, left / 2);
}
