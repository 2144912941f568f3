"""The engine serves a contract of another service, without a database, tokens or todo_api."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Query

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract, ContractError
from fastapi_contract.router import ContractRouter
from support.contract_watch import ContractWatch
from support.generated import generate_models
from support.service import running

NOTES = Path(__file__).with_name("notes.yaml")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return generate_models(NOTES, tmp_path_factory.mktemp("generated"))


def notes_app(models: Any, *, shortcut: bool = True) -> FastAPI:
    """The other service: two operations on a list of notes."""
    contract = Contract.parse(NOTES.read_bytes())
    router = ContractRouter(contract, models)
    notes: list[Any] = []
    ids = itertools.count(1)

    async def list_notes(query: Any) -> Any:
        return models.NoteList(items=notes[: -query.limit - 1 : -1])

    async def create_note(note: Any) -> Any:
        notes.append(models.Note(id=next(ids), text=note.text))
        return notes[-1]

    # Set here, because the models are generated while the test runs.
    query = Annotated[models.ListNotesParametersQuery, Query()]
    list_notes.__annotations__ = {"query": query, "return": models.NoteList}
    create_note.__annotations__ = {"note": models.NoteCreate, "return": models.Note}
    router.operation("listNotes")(list_notes)
    router.operation("createNote")(create_note)
    return contract_app(contract, [router], shortcut=shortcut)


@pytest.fixture(scope="module", params=[True, False], ids=["shortcut", "no-shortcut"])
def url(request: pytest.FixtureRequest, models: ModuleType) -> Iterator[str]:
    with running(notes_app(models, shortcut=request.param)) as service:
        yield service.url


@pytest.fixture
def watch() -> ContractWatch:
    return ContractWatch(NOTES)


def test_each_promised_response_is_seen(url: str, watch: ContractWatch) -> None:
    json = {"Content-Type": "application/json"}
    many = {f"X-{number}": "x" for number in range(100)}
    with httpx.Client(base_url=url, event_hooks={"response": [watch.observe]}) as client:
        assert client.post("/notes", json={"text": "first"}).status_code == 201
        assert client.post("/notes", json={"text": "second"}).json()["text"] == "second"
        assert [note["text"] for note in client.get("/notes?limit=1").json()["items"]] == ["second"]
        assert client.get("/notes?limit=11").status_code == 422
        assert client.get("/notes?" + "x" * 4097).status_code == 414
        assert client.get("/notes", headers=many).status_code == 431
        assert client.post("/notes", content=b"{", headers=json).status_code == 400
        assert client.post("/notes", content=b"{}").status_code == 415
        assert client.post("/notes", json={}).status_code == 422
        assert client.post("/notes", content=b" " * 65_537, headers=json).status_code == 413
        assert client.post("/notes?" + "x" * 4097, json={"text": "x"}).status_code == 414
        assert client.post("/notes", json={"text": "x"}, headers=many).status_code == 431
        assert client.delete("/notes").headers["Allow"] == "GET, HEAD, POST"
        assert client.get("/docs").status_code == 200
        assert client.get("/openapi.yaml").content == NOTES.read_bytes()
    assert watch.unseen(watch.seen, {}) == []


def test_fuzzing_finds_no_fault(url: str, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(
        '[generation]\ndatabase = "none"\ndeterministic = true\nmax-examples = 25\n[warnings]\nfail-on = true\n'
    )
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(NOTES), f"--url={url}", "--no-color"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout
    assert "Tested: 2" in run.stdout, run.stdout


def test_operation_without_a_handler_stops_the_start(models: ModuleType) -> None:
    contract = Contract.parse(NOTES.read_bytes())
    with pytest.raises(ContractError, match=r"not implemented: listNotes \(GET /notes\)"):
        contract_app(contract, [ContractRouter(contract, models)])


def test_engine_imports_nothing_of_the_service(tmp_path: Path) -> None:
    """Neither its packages nor its libraries for databases and tokens."""
    program = (
        "import sys; import fastapi_contract.application; from fastapi_contract.serving import protocol, server; "
        "print([name for name in sys.modules if name.split('.')[0] in "
        "{'todo_api', 'todo_contract', 'asyncpg', 'sqlalchemy', 'sqlmodel', 'jose', 'alembic'}])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "[]\n"
