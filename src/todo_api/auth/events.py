"""What an operator wants to know of attempts to get in: never a token, a claim's value or who it was."""

import hashlib

from fastapi import Request

from fastapi_contract.limited_log import LimitedLog


class SecurityLog(LimitedLog):
    """Events with operation and request id."""

    def token_refused(self, request: Request, reason: str) -> None:
        """`reason` is one word."""
        self.warning("token refused", operation=_operation(request), reason=reason)

    def cross_user(self, request: Request, subject: str) -> None:
        """Somebody called the URL of another user. The hash is the same for the same caller, and tells not who."""
        digest = hashlib.sha256(subject.encode()).hexdigest()[:16]
        self.warning("cross-user attempt", operation=_operation(request), subject=digest)


def _operation(request: Request) -> str | None:
    operation: str | None = getattr(request.scope.get("route"), "operation_id", None)
    return operation
