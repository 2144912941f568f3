"""CORS: which pages may call the service from a browser."""

import re
from collections.abc import Mapping, Sequence

from starlette.responses import Response

from fastapi_contract.middleware.limited_log import LimitedLog
from fastapi_contract.middleware.origins import compile_pattern
from fastapi_contract.problems import InvalidRequest, Respond, problem_response

COMMON_HEADERS = (
    *("X-Request-ID", "Accept", "Accept-Language", "Content-Language"),
    *("traceparent", "tracestate", "baggage", "sentry-trace"),
)
"""Request headers that pages may send to each service: the engine reads the first. Browsers list the next three in a
preflight although most values are safelisted. OpenTelemetry and Sentry add the last four to each request."""
PREFLIGHT_MAX_AGE = 7200
"""Seconds for which a browser may cache a preflight's response. Chrome's maximum is the same, its default 5 seconds."""
MAX_CACHED_ORIGINS = 1000
"""Origins whose response headers are cached. Matching an origin that is not cached takes 3 µs."""
MAX_LOGGED_VALUE = 200
"""Characters of each value of a rejected preflight that are logged."""

ResponseHeaders = tuple[tuple[bytes, bytes], ...]


class CrossOrigin:
    """Computes the CORS headers of every response and answers preflights
    (https://fetch.spec.whatwg.org/#http-cors-protocol).

        cross_origin = CrossOrigin(["https://app.example.com"], ["GET", "PUT"], ["Authorization"], ["ETag"])
        cross_origin.headers(b"https://app.example.com")  # pairs such as (b"vary", b"Origin")
    """

    def __init__(
        self,
        origins: Sequence[str],
        methods: Sequence[str],
        headers: Sequence[str],
        exposed_headers: Sequence[str],
        respond: Respond = problem_response,
    ) -> None:
        """`origins` are the allowed origins, as `origins.normalize` returns them; one with a `*` is a pattern. Pages
        may send `methods` and `headers` (compared without case), and read `exposed_headers`.
        `respond` makes the response to a rejected preflight."""
        self._respond = respond
        # Vary, because a cache must not return the response for one origin to a page of another.
        self._disallowed_headers = ((b"vary", b"Origin"),)
        self._allowed_headers = (
            *self._disallowed_headers,
            (b"access-control-expose-headers", ", ".join(exposed_headers).encode()),
        )
        self._headers: dict[bytes | None, ResponseHeaders] = {None: self._disallowed_headers}
        self._patterns: list[tuple[re.Pattern[bytes], bool]] = []
        for origin in origins:
            if "*" in origin:
                # Credentials for `:*` (this machine) only: a host that matches a * may have another owner, see
                # docs/decisions/0013-cors.md.
                self._patterns.append((compile_pattern(origin), origin.endswith(":*")))
            else:
                self._headers[origin.encode()] = self._headers_for(origin.encode(), credentials=True)
        self._methods = frozenset(methods)
        self._request_headers = frozenset(name.lower() for name in headers)
        self._preflight_headers = {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": ", ".join(sorted(headers, key=str.lower)),
            "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE),
        }
        self._log = LimitedLog()

    def headers(self, origin: bytes | None) -> ResponseHeaders:
        """Returns the CORS headers of the response to a request with this Origin header (None if it has none). They are
        cached, because Starlette's CORSMiddleware takes 8 µs to compute them."""
        return self._headers.get(origin) or self._match(origin)

    def preflight(self, headers: Mapping[bytes, bytes]) -> Response:
        """Returns the response to a preflight with these request headers. A rejected preflight gets a problem, and its
        log line names the setting that would allow it."""
        origin, method = headers[b"origin"], headers[b"access-control-request-method"].decode("latin-1")
        names = headers.get(b"access-control-request-headers", b"").decode("latin-1").lower().split(",")
        unknown = sorted({name.strip() for name in names} - self._request_headers - {""})
        if self.headers(origin) is self._disallowed_headers:
            return self._reject(
                "This origin is not in ALLOWED_ORIGINS.", "ALLOWED_ORIGINS", origin=origin.decode("latin-1")
            )
        if method not in self._methods:
            return self._reject("No operation of this service has this method.", None, method=method)
        if unknown:
            fault = "The page sends a header that is not in ALLOWED_HEADERS."
            return self._reject(fault, "ALLOWED_HEADERS", headers=", ".join(unknown))
        return Response(headers=self._preflight_headers)

    def _match(self, origin: bytes | None) -> ResponseHeaders:
        assert origin is not None
        for allowed, credentials in self._patterns:
            if allowed.fullmatch(origin):
                headers = self._headers_for(origin, credentials=credentials)
                # Limited, because a client can send any number of matching origins.
                if len(self._headers) < MAX_CACHED_ORIGINS:
                    self._headers[origin] = headers
                return headers
        return self._disallowed_headers

    def _headers_for(self, origin: bytes, *, credentials: bool) -> ResponseHeaders:
        allowed = (*self._allowed_headers, (b"access-control-allow-origin", origin))
        return (*allowed, (b"access-control-allow-credentials", b"true")) if credentials else allowed

    def _reject(self, fault: str, setting: str | None, **sent: str) -> Response:
        truncated = {name: value[:MAX_LOGGED_VALUE] for name, value in sent.items()}
        self._log.warning("preflight rejected", setting=setting, **truncated)
        return self._respond(InvalidRequest(f"The preflight is rejected: {fault}"))
