"""An empty project of a frontend, with the client that npm has installed from the running service."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support import ROOT
from support.node import NODE, require_packages
from support.service import Service

HERE = Path(__file__).parent
NPM = NODE.parents[1] / "lib/node_modules/npm/bin/npm-cli.js"


@pytest.fixture(scope="session")
def frontend(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_packages()
    folder = tmp_path_factory.mktemp("frontend")
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    # No registry answers at this address, and npm's cache is empty.
    options = ["--registry=http://127.0.0.1:1", "--noproxy=127.0.0.1", "--fetch-retries=0", "--no-audit", "--no-fund"]
    command = [str(NODE), str(NPM), "install", f"{service.url}/client.tgz", *options, f"--cache={folder}/cache"]
    npm = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert npm.returncode == 0, npm.stdout + npm.stderr
    for file in (*HERE.glob("*.ts"), HERE / "tsconfig.json"):
        shutil.copy(file, folder)
    for number, readme in enumerate([ROOT / "README.md", ROOT / "client/README.md"]):
        [code] = re.findall(r"```ts\n(import .*?)```", readme.read_text(), flags=re.DOTALL)
        declared = "" if "getToken =" in code else "declare function getToken(): Promise<string | null>;\n"
        (folder / f"readme{number}.ts").write_text(declared + code)
    (folder / "node_modules/@types").symlink_to(ROOT / "node_modules/@types")
    return folder
