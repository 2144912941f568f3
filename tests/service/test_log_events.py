"""The names of log events are fixed, because alerts match them: docs/log-events.md lists them all."""

import ast
import re
from pathlib import Path

from support import ROOT

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def events(path: Path) -> set[tuple[str, str]]:
    """The events that a module logs, with their levels."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in LEVELS:
            continue
        if node.args and isinstance(node.args[0], ast.Constant):
            # structlog's exception() logs an error with the traceback.
            level = "error" if node.func.attr == "exception" else node.func.attr
            found.add((str(node.args[0].value).partition(":")[0], level))
    return found


def test_documentation_lists_every_event_with_its_level() -> None:
    listed = set(re.findall(r"^\| `([^`]+)` \| (\w+) \|", (ROOT / "docs/log-events.md").read_text(), re.MULTILINE))
    # SecurityLog passes these names to its own method, so events() does not find them.
    logged = {("token refused", "warning"), ("cross-user attempt", "warning")}
    for path in (ROOT / "src").rglob("*.py"):
        logged |= events(path)
    assert listed == logged


def test_every_module_logs_with_structlog() -> None:
    paths = [path for path in (ROOT / "src").rglob("*.py") if "logging.getLogger(__name__)" in path.read_text()]
    # The embedded server is an exception, because it imports only the standard library.
    assert [path.parent.name for path in paths] == ["embedded"]
