"""Errors as RFC 9457 problem+json, one class for each problem type. This module has the types of HTTP itself; a service
defines its own as subclasses of Problem.

The docstring of a class is the text of its page, `/problems/<name>`, if the contract describes no schema of its type.
Its first paragraph says what the problem means, and the next what a client should do, in CommonMark.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException

from fastapi_contract.middleware.request_id import problem_members
from fastapi_contract.validation.input_errors import MAX_DETAIL, MAX_ERRORS, InputError

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Problem(Exception):
    """An error that is returned to the client. A handler or a guard raises it; a subclass sets `type`, `title` and
    `status`.

        class TaskNotFound(Problem):
            "The user has no task with this id."

            type, title, status = "/problems/task-not-found", "Task not found", 404

        raise TaskNotFound("There is no such task. List the tasks for their ids.")
    """

    type: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]

    def __init__(self, detail: str, headers: dict[str, str] | None = None) -> None:
        """`detail` says what was wrong and what to do, in at most 1,000 characters and without any value of the input.
        `headers` are added to the response."""
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}

    def members(self) -> dict[str, Any]:
        """Returns the members of the problem without `instance` and `request_id`. A subclass may add members."""
        return {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail}


class MissingCredentials(Exception):
    """Marks the problem that a guard raises if no credentials of its scheme were sent: an operation with alternatives
    then tries the next one.

        class AuthenticationRequired(Problem, MissingCredentials): ...
    """


class InvalidRequest(Problem):
    """The request breaks a rule of HTTP: two Authorization or Host headers, two tokens in one header, a CORS
    preflight for an origin, a method or a header that is not allowed, or a `Prefer` with an answer that the service
    does not give.

    Correct the request: `detail` names the rule. Sending it again as it is fails again."""

    type = "/problems/invalid-request"
    title = "Invalid request"
    status = 400


class MalformedBody(Problem):
    """The body is not JSON as RFC 8259 defines it: not UTF-8, a syntax error, NaN or Infinity, a repeated name in an
    object, nested too deeply, or more than 1,000 objects. Or it is not of the other media type that its Content-Type
    declares, such as a form or NDJSON.

    Correct the body: `detail` names the error and its position."""

    type = "/problems/malformed-body"
    title = "Malformed body"
    status = 400

    def __init__(self, fault: str, expected: str = "JSON") -> None:
        """`fault` is the error and its position, without a period at its end. `expected` is what the body must be."""
        super().__init__(f"The body is not {expected}: {fault}.")


class NotFound(Problem):
    """No resource has this path. Paths are case-sensitive, and only `/` ends in a slash.

    Correct the path: the contract, `/openapi.yaml`, has all of them. A base URL with a final slash, or without the base
    path, is a usual cause."""

    type = "/problems/not-found"
    title = "Path not found"
    status = 404

    def __init__(self, root_path: str = "") -> None:
        """`root_path` is the path of the service."""
        super().__init__(f"No resource has this path. See the contract at {root_path}/openapi.yaml for all paths.")


class MethodNotAllowed(Problem):
    """The path exists, but does not support this method.

    Send one of the methods in the `Allow` header."""

    type = "/problems/method-not-allowed"
    title = "Method not allowed"
    status = 405

    def __init__(self, allowed: str) -> None:
        """`allowed` is the value of the Allow header."""
        super().__init__(f"Send one of the methods that this path supports: {allowed}.", {"Allow": allowed})


class RequestTimeout(Problem):
    """The headers or the body of the request were not complete in time: 10 seconds for the headers and 30 for the body,
    unless the service is configured otherwise. The connection is closed.

    Send the request again, on a new connection."""

    type = "/problems/request-timeout"
    title = "Request timeout"
    status = 408

    def __init__(self) -> None:
        super().__init__("The headers or the body of the request were not complete in time. Send the request again.")


class ContentTooLarge(Problem):
    """The body is larger than the contract allows. The service stops reading it and closes the connection.

    Send a smaller body, on a new connection."""

    type = "/problems/content-too-large"
    title = "Content too large"
    status = 413

    def __init__(self, limit: int) -> None:
        """`limit` is the largest allowed size in bytes."""
        super().__init__(f"The body is larger than {limit} bytes. Send a smaller body.", {"Connection": "close"})


class UriTooLong(Problem):
    """The URL is longer than the service reads: 8 KiB in total, 4 KiB for its query.

    Send a shorter URL."""

    type = "/problems/uri-too-long"
    title = "URI too long"
    status = 414

    def __init__(self, part: str, limit: int) -> None:
        """`part` is the part of the URL that is too long, such as "query"; `limit` is its maximum length in bytes."""
        super().__init__(f"The {part} is longer than {limit} bytes. Send a shorter one.")


class UnsupportedMediaType(Problem):
    """The Content-Type header does not declare a media type that the operation accepts, such as application/json, or
    its charset is not UTF-8.

    Send one of the media types in `detail` and in the `Accept` header of the response."""

    type = "/problems/unsupported-media-type"
    title = "Unsupported media type"
    status = 415

    def __init__(self, accepted: Sequence[str]) -> None:
        """`accepted` are the media types that the operation accepts."""
        super().__init__(
            f"The Content-Type must be {' or '.join(accepted)}, with the charset UTF-8 if it has one.",
            {"Accept": ", ".join(accepted)},
        )


class TooManyRequests(Problem):
    """The user or the address sends more requests than are allowed in a minute.

    Send the request again after the seconds in the `Retry-After` header. `RateLimit-Policy` names the limit."""

    type = "/problems/too-many-requests"
    title = "Too many requests"
    status = 429

    def __init__(self, policy: str, quota: int, window: int, seconds: int) -> None:
        """The limit `policy` allows `quota` requests in `window` seconds. `seconds` is the time after which a request
        is accepted again."""
        headers = {
            "Retry-After": str(seconds),
            "RateLimit-Policy": f'"{policy}";q={quota};w={window}',
            "RateLimit": f'"{policy}";r=0;t={seconds}',
        }
        super().__init__("Too many requests were sent. Retry after Retry-After seconds.", headers)


class HeaderFieldsTooLarge(Problem):
    """The header section, the trailers or the chunk extensions of the request are larger than the service reads: 32 KiB
    or 100 lines. The connection is closed.

    Send fewer headers: large cookies or tokens are the usual cause."""

    type = "/problems/header-fields-too-large"
    title = "Request header fields too large"
    status = 431

    def __init__(self) -> None:
        super().__init__("The request has more than 32 KiB or 100 lines of headers. Send fewer.")


class InternalError(Problem):
    """The service failed because of an unexpected error.

    Try again later. Report the `request_id` if it happens again."""

    type = "/problems/internal-error"
    title = "Internal server error"
    status = 500

    def __init__(self) -> None:
        super().__init__("An unexpected error occurred. Report the request id if it happens again.")


class ValidationFailed(Problem):
    """The input can be parsed, but violates the contract. `errors` has an entry for each place.

    Show each error where it belongs: `pointer` is its place in the body, `parameter` the name of a parameter, `code` is
    for programs, `detail` for people, and `limit` is the bound that was exceeded, if there is one."""

    type = "/problems/validation-failed"
    title = "Validation failed"
    status = 422

    def __init__(self, errors: Sequence[InputError]) -> None:
        """`errors` must not be empty. The response contains the first MAX_ERRORS of them. Raise it for an error that
        the contract's schemas cannot express:

            raise ValidationFailed([InputError("invalid", "This is no cursor of this list.", parameter="cursor")])
        """
        places = "1 place" if len(errors) == 1 else f"{len(errors)} places"
        if len(errors) > MAX_ERRORS:
            # Errors after MAX_ERRORS + 1 are not counted.
            places = f"more than {MAX_ERRORS} places"
        super().__init__(f"The input does not fit the contract in {places}. See errors.")
        self.errors = errors[:MAX_ERRORS]

    def members(self) -> dict[str, Any]:
        return {
            **super().members(),
            "errors": [error.members() for error in self.errors],
        }


def problem_types() -> dict[str, type[Problem]]:
    """Returns every direct subclass of Problem that has been imported, keyed by its `type`."""
    return {problem.type: problem for problem in Problem.__subclasses__()}


def problem_response(problem: Problem, base_path: str = "") -> Response:
    """Returns the response for a problem, with the id of the request in progress. `base_path` is that of the contract,
    which precedes the type.

    Needed only outside handlers and guards, which raise the problem instead: in an ASGI layer, for example.

        response = problem_response(InvalidRequest("The request must have exactly one Host header."))
        await response(scope, receive, send)
    """
    # Escaped to ASCII, because a name from the input may contain lone surrogates, which UTF-8 cannot encode.
    members = {**problem.members(), **problem_members()}
    members["type"] = base_path + members["type"]
    body = json.dumps(members, separators=(",", ":"))
    return Response(body, problem.status, problem.headers, "application/problem+json")


Respond: TypeAlias = Callable[[Problem], Response]
"""`problem_response` of one service."""

Translations: TypeAlias = Mapping[type[Exception], Callable[[Any], Problem]]
"""Maps an exception of a layer that knows no HTTP to a function that makes the problem for it. The exception is logged
as `unavailable`, with its text.

    translations: Translations = {DatabaseUnavailableError: lambda error: DatabaseUnavailable(error.retry_after)}
"""


def install(app: FastAPI, respond: Respond, allowed_methods: Callable[[str], str], translations: Translations) -> None:
    """Registers exception handlers that return every error of the app as a problem, including FastAPI's own errors.

    `allowed_methods` returns the Allow header of a path, because Starlette's has only the methods of the first route.
    """

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return respond(error)

    async def on_translated(request: Request, error: Exception) -> Response:
        log.warning("unavailable", error=str(error))
        return respond(next(problem(error) for kind, problem in translations.items() if isinstance(error, kind)))

    async def on_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        match error.status_code:
            case status if status < 400:
                # A redirect or "not modified" is not an error.
                return Response(status_code=status, headers=error.headers)
            case 404:
                return respond(NotFound(app.root_path))
            case 405:
                return respond(MethodNotAllowed(allowed_methods(get_route_path(request.scope))))
            case status if status < 500:
                return respond(InvalidRequest(str(error.detail)[:MAX_DETAIL], dict(error.headers or {})))
            case _:
                # RequestContext logs it as a fault and answers 500.
                raise error

    async def on_validation_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = [InputError.from_pydantic(item) for item in error.errors()[: MAX_ERRORS + 1]]
        return respond(ValidationFailed(errors))

    app.add_exception_handler(Problem, on_problem)
    for error_class in translations:
        app.add_exception_handler(error_class, on_translated)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_validation_error)
