"""`todo-api check | routes`: every difference between code and contract in one message, without a database."""

import re
import shutil
from pathlib import Path

import httpx
import pytest

from support import ROOT, divided_contract
from support.operations import CONTRACT
from support.service import SECRET
from support.serving import run, serving


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the code, its generated modules and the contract."""
    folder = tmp_path / "copy"
    for name in ("src", "generated/todo_contract"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "openapi.yaml", folder)
    return folder


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def failure(copy: Path, *arguments: str) -> list[str]:
    """Return the lines of the message that a command fails with, in a copy of the code."""
    failed = run(copy, *arguments, PYTHONPATH=f"{copy / 'src'}:{copy / 'generated'}")
    assert (failed.returncode, failed.stdout) == (1, ""), failed
    assert "Traceback" not in failed.stderr
    return [line.removeprefix("todo-api: ").removeprefix("  - ") for line in failed.stderr.splitlines()]


def test_check_names_the_file_of_a_difference(copy: Path) -> None:
    divided_contract.write(copy)
    replace(copy / divided_contract.PATHS, '"operationId": "getTask"', '"operationId": "getOneTask"')
    replace(copy / divided_contract.MAIN, '"operationId": "getTask"', '"operationId": "getOneTask"')
    [_, *differences] = failure(copy, "check")
    assert any(each.startswith(f"{divided_contract.PATHS}:") and "getOneTask" in each for each in differences)


def test_check_finds_no_difference_and_leaves_nothing_behind(tmp_path: Path) -> None:
    checked = run(tmp_path, "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == f"The code implements openapi.yaml: {len(CONTRACT.operations)} operations.\n"
    assert list(tmp_path.iterdir()) == []


def test_check_prints_every_difference_in_one_message(copy: Path) -> None:
    replace(copy / "openapi.yaml", "maximum: 2147483647", "maximum: 1000")
    replace(copy / "openapi.yaml", "operationId: getHealth", "operationId: getLiveness")
    replace(copy / "src/todo_api/tasks/handlers.py", "-> models.TaskChanges:", "-> None:")
    summary, *differences = failure(copy, "check")
    assert summary == "The code does not implement openapi.yaml, 4 differences:"
    for part in (
        "listTaskChanges returns 200 with models.TaskChanges: annotate list_task_changes() with -> models.TaskChanges.",
        "getHealth is not in openapi.yaml.",
        "not implemented: getLiveness (GET /health).",
        "listTasks / query offset / maximum: openapi.yaml says 1000, the code 2147483647. Run ./codegen.sh.",
    ):
        assert any(part in line for line in differences), differences


def test_check_names_the_use_of_a_model_that_is_not_generated(copy: Path) -> None:
    replace(copy / "src/todo_api/tasks/handlers.py", "changes: models.TaskUpdate,", "changes: models.TaskChange,")
    _, difference = failure(copy, "check")
    assert difference.startswith("handlers.py:")
    assert difference.endswith("models.TaskChange is not generated from openapi.yaml. Use a name of generated/.")


@pytest.mark.parametrize(
    ("file", "old", "new", "difference"),
    [
        pytest.param("handlers.py", "_after(owner, query),\n", "(\n", "SyntaxError: ", id="syntax"),
        pytest.param("handlers.py", "import cursor, ", "import cursors, ", "ImportError: ", id="import"),
        pytest.param("queries.py", "_get = prepare(", "_get = prepare(0, ", "TypeError: ", id="call"),
        pytest.param(
            "queries.py", "_read_task = reader(", "_read_task = read(", "NameError: name 'read' is", id="name"
        ),
    ],
)
def test_fault_of_a_handler_is_named_by_file_and_line(
    copy: Path, file: str, old: str, new: str, difference: str
) -> None:
    replace(copy / "src/todo_api/tasks" / file, old, new)
    [_, line] = failure(copy, "check")
    assert re.match(rf"{file}:[0-9]+: {difference}", line), line


@pytest.mark.parametrize("command", ["check", "routes", "serve"])
def test_member_without_a_column_is_named(copy: Path, command: str) -> None:
    replace(copy / "src/todo_api/tasks/table.py", "    description: str |", "    notes: str |")
    replace(copy / "src/todo_api/tasks/table.py", "    updated_at: datetime", "    changed_at: datetime")
    step = "has no column. Write a migration, and add it to the table task in table.py."
    assert failure(copy, command)[1:] == [f"Task.description {step}", f"Task.updated_at {step}"]


@pytest.mark.parametrize("command", ["check", "routes", "serve"])
def test_contract_that_is_not_openapi_is_rejected_by_line(copy: Path, command: str) -> None:
    replace(copy / "openapi.yaml", "maximum: 2147483647", "maximum: many")
    summary, *faults = failure(copy, command)
    assert summary.startswith("openapi.yaml cannot be served, 1 fault")
    assert faults[0].startswith("openapi.yaml:")


def test_routes_lists_each_operation(tmp_path: Path) -> None:
    printed = run(tmp_path, "routes")
    assert (printed.returncode, printed.stderr) == (0, "")
    headings, *rows = [line.split() for line in printed.stdout.splitlines()]
    assert headings == ["operation", "method", "path", "security", "statuses", "request", "response", "shortcut"]
    assert " ".join(next(row for row in rows if row[0] == "createTask")) == (
        "createTask POST /api/{user_id}/tasks bearerAuth (BearerAuth, UrlOwnership) "
        "201 400 401 403 409 413 414 415 422 429 431 500 503 application/json application/json yes"
    )
    assert " ".join(next(row for row in rows if row[0] == "getHealth")).startswith("getHealth GET /health public 200")
    assert {row[0] for row in rows} == CONTRACT.operations.keys()


def test_serve_mocks_operations_without_a_handler(copy: Path) -> None:
    shutil.copy(ROOT / "generated/client.tgz", copy / "generated")
    replace(copy / "src/todo_api/tasks/handlers.py", '@router.operation("getTask")\n', "")
    assert any("not implemented: getTask" in each for each in failure(copy, "serve"))
    path = {"PYTHONPATH": f"{copy / 'src'}:{copy / 'generated'}"}
    with serving(copy, "--mock", "--workers", "2", **path) as service:
        client = service.client()
        created = client.post("/tasks", json={"title": "mine"})
        mocked = client.get(f"/tasks/{created.json()['id']}")
        assert (created.status_code, mocked.status_code) == (201, 200)
        assert mocked.json() == CONTRACT.document["components"]["examples"]["TaskExample"]["value"]
        assert mocked.headers["ETag"]
        assert client.get("/tasks/0").status_code == 422
        assert client.get("/tasks", headers={"Prefer": "status=503"}).status_code == 503
        assert httpx.get(client.base_url.join("tasks/1")).status_code == 401


def test_mock_requires_the_embedded_database(copy: Path) -> None:
    rejected = run(copy, "serve", "--mock", DATABASE_URL="postgresql://127.0.0.1/unused", BETTER_AUTH_SECRET=SECRET)
    assert (rejected.returncode, rejected.stderr) == (
        1,
        "todo-api: --mock: requires the embedded database. Unset DATABASE_URL.\n",
    )
