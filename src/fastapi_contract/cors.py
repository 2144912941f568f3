"""Which pages may call from a browser (CORS)."""

import re
from collections.abc import Mapping, Sequence

from starlette.responses import Response

from fastapi_contract.limited_log import LimitedLog
from fastapi_contract.origins import pattern
from fastapi_contract.problems import InvalidRequest, respond

PREFLIGHT_MAX_AGE = 7200
"""Seconds for which a browser need not ask again. Chrome keeps no answer for longer, and without it 5 seconds."""
MAX_ORIGINS = 1000
"""Whose headers are kept. A match that is not kept takes 3 µs."""
MAX_QUOTED = 200
"""Characters of a rejected preflight that are logged."""

ResponseHeaders = tuple[tuple[bytes, bytes], ...]


class CrossOrigin:
    """Which pages may call from a browser (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol)."""

    def __init__(
        self, origins: Sequence[str], methods: Sequence[str], headers: Sequence[str], exposed_headers: Sequence[str]
    ) -> None:
        """`origins` are normalized; one with a `*` is a pattern. Names of headers are compared in lower case."""
        # A cache must not give the answer for one origin to a page of another.
        self._others = ((b"vary", b"Origin"),)
        self._shared = (*self._others, (b"access-control-expose-headers", ", ".join(exposed_headers).encode()))
        self._headers: dict[bytes | None, ResponseHeaders] = {None: self._others}
        self._patterns: list[tuple[re.Pattern[bytes], bool]] = []
        for origin in origins:
            if "*" in origin:
                # A host that a * matches may be somebody else's: see docs/decisions/0013-cors.md.
                self._patterns.append((pattern(origin), origin.endswith(":*")))
            else:
                self._headers[origin.encode()] = self._allowing(origin.encode(), credentials=True)
        self._methods = frozenset(methods)
        self._allowed = frozenset(name.lower() for name in headers)
        self._preflight = {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": ", ".join(sorted(headers, key=str.lower)),
            "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE),
        }
        self._log = LimitedLog()

    def headers(self, origin: bytes | None) -> ResponseHeaders:
        """Those of every answer. Starlette's takes 8 µs for them."""
        return self._headers.get(origin) or self._match(origin)

    def preflight(self, sent: Mapping[bytes, bytes]) -> Response:
        """The answer to a preflight. A rejected one is a problem, and the log has the setting that would allow it."""
        origin, method = sent[b"origin"], sent[b"access-control-request-method"].decode("latin-1")
        names = sent.get(b"access-control-request-headers", b"").decode("latin-1").lower().split(",")
        unknown = sorted({name.strip() for name in names} - self._allowed - {""})
        if self.headers(origin) is self._others:
            return self._reject(
                "This origin is not in ALLOWED_ORIGINS.", "ALLOWED_ORIGINS", origin=origin.decode("latin-1")
            )
        if method not in self._methods:
            return self._reject("No operation has this method.", None, method=method)
        if unknown:
            fault = "The page sends a header that is not in ALLOWED_HEADERS."
            return self._reject(fault, "ALLOWED_HEADERS", headers=", ".join(unknown))
        return Response(headers=self._preflight)

    def _match(self, origin: bytes | None) -> ResponseHeaders:
        assert origin is not None
        for allowed, credentials in self._patterns:
            if allowed.fullmatch(origin):
                headers = self._allowing(origin, credentials=credentials)
                # Anybody can invent origins that match.
                if len(self._headers) < MAX_ORIGINS:
                    self._headers[origin] = headers
                return headers
        return self._others

    def _allowing(self, origin: bytes, *, credentials: bool) -> ResponseHeaders:
        allowed = (*self._shared, (b"access-control-allow-origin", origin))
        return (*allowed, (b"access-control-allow-credentials", b"true")) if credentials else allowed

    def _reject(self, fault: str, setting: str | None, **sent: str) -> Response:
        quoted = {name: value[:MAX_QUOTED] for name, value in sent.items()}
        self._log.warning("preflight rejected", setting=setting, **quoted)
        return respond(InvalidRequest(f"The preflight is rejected: {fault}"))
