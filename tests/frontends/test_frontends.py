"""From nothing to a listed task in a browser: the page of client/README.md with Vite, and the recipes in Next.js.

`make frontends` installs both and runs these tests; they are not part of `make test`, because Next.js has 400 MB.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

import support.chromium
from support import ROOT
from support.better_auth_server import API_SECRET, OWN_SECRET, BetterAuth, api_for
from support.databases import new_database
from support.node import NODE, require_packages
from support.ports import free_port
from support.service import running, settings_for
from todo_api.app import create_app

FOLDER = ROOT / "tests/frontends"
README = ROOT / "client/README.md"
RECIPES = ROOT / "tests/better_auth"
NPM = NODE.parents[1] / "lib/node_modules/npm/bin"
DEADLINE = 60.0

Record = Callable[[str, str], None]


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """The programs of a frontend developer, and an empty home directory. npx finds the pinned programs, because no
    registry answers."""
    require_packages(FOLDER)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("npm", "npx"):
        (programs / name).write_text(f'#!/bin/sh\nexec "{NODE}" "{NPM}/{name}-cli.js" "$@"\n')
        (programs / name).chmod(0o755)
    for program in (FOLDER / "node_modules/.bin").iterdir():
        (programs / program.name).symlink_to(program)
    return {
        "PATH": f"{programs}:{NODE.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "npm_config_prefix": str(tmp_path),
        "BROWSER": "none",
        "NEXT_TELEMETRY_DISABLED": "1",
        "npm_config_registry": "http://127.0.0.1:1",
        "npm_config_fetch_retries": "0",
    }


@pytest.fixture
def next_app() -> Iterator[Path]:
    """The folder of an app, below the installed packages."""
    require_packages(FOLDER)
    with TemporaryDirectory(dir=FOLDER, prefix="app-") as name:
        folder = Path(name)
        shutil.copytree(FOLDER / "next", folder, dirs_exist_ok=True)
        (folder / "package.json").write_text(json.dumps({"private": True}))
        (folder / "lib").mkdir()
        for recipe in ("auth.ts", "server-todo.ts", "todo.ts"):
            shutil.copy(RECIPES / recipe, folder / "lib")
        auth_client = (RECIPES / "auth-client.ts").read_text()
        (folder / "lib/auth-client.ts").write_text(auth_client.replace('"better-auth/client"', '"better-auth/react"'))
        (folder / "app/api/token").mkdir()
        shutil.copy(RECIPES / "route.ts", folder / "app/api/token")
        yield folder


@contextmanager
def started(command: str, folder: Path, variables: dict[str, str], ready: str) -> Iterator[str]:
    """Run a command of the shell until the end of the block. Yield what `ready` finds in its output."""
    output = folder / "output.log"
    with (
        output.open("w") as log,
        subprocess.Popen(
            ["bash", "-ec", command], cwd=folder, env=variables, stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            deadline = time.monotonic() + DEADLINE
            while not (found := re.search(ready, re.sub(r"\x1b\[\d*m", "", output.read_text()))):
                assert process.poll() is None, output.read_text()
                assert time.monotonic() < deadline, output.read_text()
                time.sleep(0.02)
            yield found[0]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


def test_three_commands_of_the_documentation_show_a_task_in_a_browser(
    database_url: str, user: str, tmp_path: Path, variables: dict[str, str], record_property: Record
) -> None:
    [commands] = [
        block for block in re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL) if "npx vite" in block
    ]
    chromium = support.chromium.chromium()
    folder = tmp_path / "empty"
    folder.mkdir()
    settings = settings_for(database_url, allowed_origins=("http://localhost:*",))
    with running(create_app(settings)) as service:
        begin = time.monotonic()
        commands = commands.replace("http://127.0.0.1:8000", service.url)
        with started(commands, folder, variables, r"http://localhost:\d+") as url:
            shown = chromium.run(FOLDER / "page.mjs", {"url": url, "tokens": [service.token(user), None]})
        record_property("page", f"{time.monotonic() - begin:.1f} s from an empty directory to a task in a browser")
    assert shown == ["Buy milk", "createTask: the user is signed out: getToken returned null"]


def test_recipes_list_a_task_in_a_production_build_of_nextjs(
    database_url: str, next_app: Path, variables: dict[str, str], record_property: Record
) -> None:
    chromium = support.chromium.chromium()
    port = free_port()
    issuer = BetterAuth(f"http://localhost:{port}", OWN_SECRET, API_SECRET)
    with (
        new_database() as auth_database_url,
        api_for(issuer, database_url, allowed_origins=(issuer.url,)) as api,
    ):
        environment = {
            **variables,
            "AUTH_DATABASE_URL": auth_database_url,
            "BETTER_AUTH_SECRET": issuer.secret,
            "BETTER_AUTH_URL": issuer.url,
            "NEXT_PUBLIC_API_URL": api.url,
            "TODO_API_SECRET": issuer.api_secret,
        }
        begin = time.monotonic()
        build = (
            f"npm install {api.url}/client.tgz",
            "node --disable-warning=MODULE_TYPELESS_PACKAGE_JSON migrate.mjs",
            "npx next build",
        )
        built = subprocess.run(
            ["bash", "-ec", "\n".join(build)],
            cwd=next_app,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert built.returncode == 0, built.stdout + built.stderr
        assert not re.search("warn|⚠", built.stdout + built.stderr, re.IGNORECASE), built.stdout + built.stderr
        seconds = time.monotonic() - begin
        with started(f"npx next start --port {port}", next_app, environment, "Ready in"):
            shown = chromium.run(FOLDER / "next.mjs", {"url": issuer.url})
            assert httpx.get(f"{issuer.url}/api/token").status_code == 401
        record_property(
            "Next.js", f"{seconds:.1f} s to install and build, {time.monotonic() - begin:.1f} s to a task in a browser"
        )
    issuer.close()
    expected = {"client": ["Buy milk"], "server": ["Buy milk"], "next": [], "otherTab": ["Buy apples"], "errors": []}
    assert shown == expected
