"""Failures as RFC 9457 problem+json: one class for each problem type. Here are those of HTTP itself; a service adds its
own.

A class's docstring is what the page of its type says to the person who opens it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from fastapi_contract.request_id import request_id

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

MAX_ERRORS = 100
MAX_DETAIL = 1000
MAX_NAME = 255
MAX_QUOTED = 240
"""Bytes of a name that a pointer shows if any of them must be percent-encoded, which takes 50 ns a byte: 100 names of
650 bytes took 3 ms."""
_UNQUOTED = re.compile(r"[A-Za-z0-9_.~!$&'()*+,;=:@-]*")


class Problem(Exception):
    """A failure that is told to the caller. Subclasses fix the type, the title and the status."""

    type: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]

    def __init__(self, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}

    def members(self) -> dict[str, Any]:
        """The members of the problem but for `instance`, which only the request knows."""
        return {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail}


class InvalidRequest(Problem):
    """The request breaks a rule of HTTP itself: two Authorization or Host headers, two tokens in one header, or a
    CORS preflight that asks for an origin, a method or a header which is not allowed. The detail says which."""

    type = "/problems/invalid-request"
    title = "The request breaks the rules of HTTP"
    status = 400


class MalformedBody(Problem):
    """The body is not JSON as RFC 8259 has it: not UTF-8, a syntax error, NaN or Infinity, one name twice in an
    object, nested too deeply, or more than 1,000 objects. The detail says what and where."""

    type = "/problems/malformed-body"
    title = "The body is not JSON"
    status = 400

    def __init__(self, fault: str) -> None:
        super().__init__(f"The body is not JSON: {fault}.")


class NotFound(Problem):
    """There is nothing under this path. Mind the case, and that no path but "/" ends in a slash."""

    type = "/problems/not-found"
    title = "There is no such path"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is nothing under this path. The contract is at /openapi.yaml.")


class MethodNotAllowed(Problem):
    """The path exists, but not with this method. The Allow header lists the methods that it has."""

    type = "/problems/method-not-allowed"
    title = "The path does not have this method"
    status = 405

    def __init__(self, allowed: str) -> None:
        super().__init__(f"This path has other methods: {allowed}.", {"Allow": allowed})


class RequestTimeout(Problem):
    """The headers of the request were not complete within 10 seconds. The connection is closed; send the request again
    on a new one."""

    type = "/problems/request-timeout"
    title = "Request timeout"
    status = 408

    def __init__(self) -> None:
        super().__init__("The headers of the request were not complete in time. Send the request again.")


class ContentTooLarge(Problem):
    """The body is larger than any that the contract allows. The service stops reading and closes the connection."""

    type = "/problems/content-too-large"
    title = "The body is too large"
    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes. Send less.", {"Connection": "close"})


class UriTooLong(Problem):
    """The URL is longer than the service reads: 8 KiB in all, 4 KiB for its query. Send less in it."""

    type = "/problems/uri-too-long"
    title = "URI too long"
    status = 414

    def __init__(self, part: str, limit: int) -> None:
        """`limit` in bytes."""
        super().__init__(f"The {part} is longer than {limit} bytes. Send a shorter one.")


class UnsupportedMediaType(Problem):
    """The body is not declared as JSON in UTF-8. Send the header "Content-Type: application/json"."""

    type = "/problems/unsupported-media-type"
    title = "The body is of another media type"
    status = 415

    def __init__(self) -> None:
        super().__init__(
            'The body must be JSON. Send "Content-Type: application/json".', {"Accept": "application/json"}
        )


class HeaderFieldsTooLarge(Problem):
    """The header section, the trailers or the chunk extensions of the request are larger than the service reads: 32 KiB
    or 100 lines. Cookies and tokens are the usual reason. The connection is closed."""

    type = "/problems/header-fields-too-large"
    title = "Request header fields too large"
    status = 431

    def __init__(self) -> None:
        super().__init__("The request has more than 32 KiB or 100 lines of headers. Send fewer.")


class InternalError(Problem):
    """The service failed, and the fault is ours. Report the request id if it happens again."""

    type = "/problems/internal-error"
    title = "The service failed"
    status = 500

    def __init__(self) -> None:
        super().__init__("The fault is ours. Report the request id if it happens again.")


def _quote(token: str) -> str:
    """A token of a JSON Pointer in a URI fragment (RFC 3986, section 3.5), cut if it is long."""
    token = token[:MAX_DETAIL]
    if _UNQUOTED.fullmatch(token):
        return token
    shown = token.encode(errors="replace")[:MAX_QUOTED].decode(errors="ignore")
    return quote(shown, safe="~!$&'()*+,;=:@")


class InputError:
    """One fault of the input: where, and what is wrong there, but never the value."""

    def __init__(self, detail: str, *, pointer: str | None = None, parameter: str | None = None) -> None:
        self.detail = detail[:MAX_DETAIL]
        self.place = (
            {"pointer": pointer[:MAX_DETAIL]} if pointer is not None else {"parameter": str(parameter)[:MAX_NAME]}
        )

    @classmethod
    def from_pydantic(cls, error: Any) -> "InputError":
        """`error` is an item of RequestValidationError.errors(); its `input` and `ctx` are left out."""
        where, *path = error["loc"]
        if where != "body":
            return cls(error["msg"], parameter=str(path[0]))
        # RFC 6901, section 6: a JSON Pointer as the fragment of a URI.
        tokens = (str(token)[:MAX_DETAIL].replace("~", "~0").replace("/", "~1") for token in path)
        return cls(
            error["msg"],
            pointer="#" + "".join("/" + _quote(token) for token in tokens),
        )


class ValidationFailed(Problem):
    """The input can be read, but is not what the contract says. The member "errors" names every fault: a "pointer" into
    the body, or the name of a path or query "parameter"."""

    type = "/problems/validation-failed"
    title = "The input is not valid"
    status = 422

    def __init__(self, errors: Sequence[InputError]) -> None:
        places = "1 place" if len(errors) == 1 else f"{len(errors)} places"
        if len(errors) > MAX_ERRORS:
            # Nobody has counted the rest.
            places = f"more than {MAX_ERRORS} places"
        super().__init__(f"The input does not fit the contract in {places}. See errors.")
        self.errors = errors[:MAX_ERRORS]

    def members(self) -> dict[str, Any]:
        return {
            **super().members(),
            "errors": [{"detail": error.detail, **error.place} for error in self.errors],
        }


def problem_types() -> dict[str, type[Problem]]:
    """Every problem class that is imported by now, by its `type`."""
    return {problem.type: problem for problem in Problem.__subclasses__()}


def respond(problem: Problem) -> Response:
    """The problem as an answer to the request under way, whose id `RequestContext` has set."""
    # ASCII: a name that the caller sent may hold what UTF-8 can't.
    body = json.dumps({**problem.members(), "instance": request_id.get()}, separators=(",", ":"))
    return Response(body, problem.status, problem.headers, "application/problem+json")


Translations: TypeAlias = Mapping[type[Exception], Callable[[], Problem]]
"""The problem for each exception of a layer that knows nothing of HTTP."""


def install(app: FastAPI, allowed_methods: Callable[[str], str], translations: Translations) -> None:
    """Makes every failure of the app a problem, the framework's own included.

    `allowed_methods` tells the Allow header of a path; Starlette knows only the methods of the first route.
    """

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return respond(error)

    async def on_known(request: Request, error: Exception) -> Response:
        log.warning("unavailable", error=str(error))
        return respond(next(problem() for kind, problem in translations.items() if isinstance(error, kind)))

    async def on_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        match error.status_code:
            case status if status < 400:
                # A redirection, or "not modified": no failure, so no problem.
                return Response(status_code=status, headers=error.headers)
            case 404:
                return respond(NotFound())
            case 405:
                return respond(MethodNotAllowed(allowed_methods(request.scope["path"])))
            case status if status < 500:
                return respond(InvalidRequest(str(error.detail)[:MAX_DETAIL], dict(error.headers or {})))
            case _:
                # The log must have it, as it has every fault.
                raise error

    async def on_validation_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = [InputError.from_pydantic(item) for item in error.errors()[: MAX_ERRORS + 1]]
        return respond(ValidationFailed(errors))

    app.add_exception_handler(Problem, on_problem)
    for failure in translations:
        app.add_exception_handler(failure, on_known)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_validation_error)
