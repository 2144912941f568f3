"""One error in the input: a code for programs, a sentence for people, and the location.

The sentences are made for forms: they say what is allowed, in the words of the contract's schema, and never contain the
value, a regular expression, or a word of the validator.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, get_args
from urllib.parse import quote

MAX_ERRORS = 100
"""Entries in the member `errors`."""
MAX_DETAIL = 1000
"""Characters of a detail, and of a pointer."""
MAX_NAME = 255
"""Characters of a parameter's name."""
MAX_ENCODED = 240
"""Bytes of a name that a pointer contains if any of them must be percent-encoded, which takes 50 ns a byte: 100 names
of 650 bytes took 3 ms."""
_UNQUOTED = re.compile(r"[A-Za-z0-9_.~!$&'()*+,;=:@-]*")

Code: TypeAlias = Literal[
    "required",
    "unknown_member",
    "read_only",
    "blank",
    "type",
    "format",
    "pattern",
    "not_one_of",
    "too_short",
    "too_long",
    "too_small",
    "too_large",
    "multiple_of",
    "too_few",
    "too_many",
    "duplicate_items",
    "several_matches",
    "unknown_parameter",
    "repeated_parameter",
    "invalid",
]
"""The closed list of the contract. `several_matches` is that of oneOf; `invalid` is for rules that the contract's
schemas cannot express."""
CODES: tuple[Code, ...] = get_args(Code)


class InputError:
    """What is wrong, and where: a pointer into the body or the name of a parameter. Never the value.

    InputError("invalid", "This is no cursor of this list.", parameter="cursor")
    InputError("too_long", "Must have at most 200 characters.", limit=200, pointer="#/title")
    """

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        limit: float | None = None,
        pointer: str | None = None,
        parameter: str | None = None,
    ) -> None:
        """`limit` is the bound that the value exceeds. `pointer` is a JSON Pointer into the body as a URI fragment (RFC
        6901, section 6), `parameter` the name of a parameter: one of the two is required. Long texts are truncated."""
        self.code = code
        self.detail = detail[:MAX_DETAIL]
        self.limit = limit
        self.location = (
            {"pointer": pointer[:MAX_DETAIL]} if pointer is not None else {"parameter": str(parameter)[:MAX_NAME]}
        )

    def members(self) -> dict[str, Any]:
        """Returns the members of an item of `errors`."""
        limit = {} if self.limit is None else {"limit": self.limit}
        return {"code": self.code, "detail": self.detail, **limit, **self.location}

    @classmethod
    def from_pydantic(cls, error: Any) -> "InputError":
        """Converts an item of RequestValidationError.errors(): a generated model rejects what the contract allows, or a
        required value is missing."""
        source, *path = error["loc"]
        code, detail = _PYDANTIC.get(error["type"], ("invalid", "Is not valid."))
        if source != "body":
            return cls(code, detail, parameter=str(path[0]))
        return cls(code, detail, pointer=pointer_of(path))


_PYDANTIC: Mapping[str, tuple[Code, str]] = {
    "missing": ("required", "Is required."),
    "extra_forbidden": ("unknown_member", "Is not known here."),
    "literal_error": ("not_one_of", "Must be one of the allowed values."),
    "bool_type": ("type", "Must be true or false."),
    "int_type": ("type", "Must be a whole number."),
    "float_type": ("type", "Must be a number."),
    "string_type": ("type", "Must be text."),
}


def pointer_of(path: Iterable[str | int]) -> str:
    """Returns the JSON Pointer to a place in the body as a URI fragment: `#` is all of it."""
    # Escaped as RFC 6901, section 3, requires; truncated first, which limits the cost of a long name.
    tokens = (str(token)[:MAX_DETAIL].replace("~", "~0").replace("/", "~1") for token in path)
    return "#" + "".join("/" + _quote(token) for token in tokens)


def _quote(token: str) -> str:
    """Returns a token of a JSON Pointer as it appears in a URI fragment (RFC 3986, section 3.5), truncated if it is
    long."""
    token = token[:MAX_DETAIL]
    if _UNQUOTED.fullmatch(token):
        return token
    shown = token.encode(errors="replace")[:MAX_ENCODED].decode(errors="ignore")
    return quote(shown, safe="~!$&'()*+,;=:@")
