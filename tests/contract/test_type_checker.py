"""The type checker finds mistakes of a handler in what it returns: the generated types are strict enough for that."""

import re
import subprocess
import sys
from pathlib import Path

from support import ROOT

HANDLER = '''
"""Mistakes of handlers, each with the code of the error that the type checker must report."""

from todo_contract import models, operations


def answers(task: models.Task) -> list[operations.CreateTask201]:
    return [
        operations.CreateTask201(task, location="/api/alex/tasks/1", etag=task.etag),
        operations.CreateTask201(task, etag=task.etag),  # call-arg
        operations.CreateTask201(task, location=None, etag=task.etag),  # arg-type
        operations.CreateTask201(task, location="/", etag=task.etag, link="/"),  # call-arg
        operations.CreateTask201(models.TaskCompletion(completed=True), location="/", etag="1"),  # arg-type
        operations.ListTasks200(models.TaskPage(items=[task], next_cursor=None), etag="1"),  # list-item
    ]


def completions() -> list[models.TaskCompletion]:
    return [
        models.TaskCompletion(completed=False),
        models.TaskCompletion(),  # call-arg
        models.TaskCompletion(completed="yes"),  # arg-type
        models.TaskCompletion(completed=True, by="alex"),  # call-arg
    ]


def another_model() -> models.Task:
    return models.TaskCompletion(completed=True)  # return-value
'''


def test_type_checker_finds_every_mistake_of_a_handler(tmp_path: Path) -> None:
    source = tmp_path / "handlers.py"
    source.write_text(HANDLER)
    command = [sys.executable, "-m", "mypy", "--no-pretty", "--config-file", str(ROOT / "pyproject.toml"), str(source)]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    found = re.findall(r"^\S+handlers\.py:([0-9]+): error: .*\[([a-z-]+)\]$", checked.stdout, re.MULTILINE)
    marked = re.findall(r"^.*# ([a-z-]+)$|^.*$", HANDLER, re.MULTILINE)
    assert found == [(str(line), code) for line, code in enumerate(marked, start=1) if code]
