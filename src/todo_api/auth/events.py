"""Security events in the log. They contain no token, no value of a claim and no user id."""

import hashlib

from fastapi import Request

from fastapi_contract.middleware.limited_log import LimitedLog


class SecurityLog(LimitedLog):
    """Logs security events with their operation and request id."""

    def token_refused(self, request: Request, reason: str) -> None:
        """A token was not accepted. `reason` is one word, such as "signature" or the name of a claim."""
        self.warning("token refused", operation=_operation(request), reason=reason)

    def cross_user(self, request: Request, subject: str) -> None:
        """The URL named another user than the token. `subject` is the token's user: the log has its hash, which is the
        same in every event of that user and does not reveal the user."""
        digest = hashlib.sha256(subject.encode()).hexdigest()[:16]
        self.warning("cross-user attempt", operation=_operation(request), subject=digest)


def _operation(request: Request) -> str | None:
    operation: str | None = getattr(request.scope.get("route"), "operation_id", None)
    return operation
