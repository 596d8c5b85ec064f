#!/usr/bin/env python3
"""Try and test django-pg-badges from a bare clone, with Python's standard library and nothing else installed.

What is needed beyond that, PostgreSQL included, goes into a virtual environment in `.venv`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys

if sys.version_info < (3, 11):  # noqa: UP036
    newer = [
        name for name in ("python3.15", "python3.14", "python3.13", "python3.12", "python3.11") if shutil.which(name)
    ]
    # A version manager's shim for an inactive Python only prints an error.
    newer = [name for name in newer if subprocess.run([name, "--version"], capture_output=True).returncode == 0]  # noqa: PLW1510
    advice = "run `{} run.py`".format(newer[0]) if newer else "install Python 3.11 or newer"  # noqa: UP032
    sys.exit("run.py: Python {}.{} is too old: {}".format(sys.version_info[0], sys.version_info[1], advice))  # noqa: UP032

import fcntl
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The first pip that knows `--group`.
PIP = (25, 1)
# How long to wait for another installation that holds the lock of apt-get.
APT_SECONDS = 600


def main() -> None:
    """Run the command."""
    # Of `test`, only --help is handled here: everything after it goes to pytest. `bench` handles even its own help.
    is_test = sys.argv[1:2] == ["test"] and sys.argv[2:3] not in (["-h"], ["--help"])
    is_handed_on = is_test or sys.argv[1:2] == ["bench"]
    arguments = parse(sys.argv[1:2] if is_handed_on else sys.argv[1:])
    handed_on = sys.argv[2:] if is_handed_on else []
    lint = ["test", "lint", "docs"]
    groups = {"demo": ["demo"], "test": ["test"], "bench": ["test"], "lint": lint, "matrix": ["matrix"]}
    python = environment(groups[arguments.command])
    os.chdir(REPOSITORY)
    if arguments.command == "demo":
        given = [f"--{name}" for name in ("large", "reset", "no-serve") if getattr(arguments, name.replace("-", "_"))]
        port = [f"--port={arguments.port}"] if arguments.port is not None else []
        execute([python, "example/demo.py", *given, *port])
    elif arguments.command == "test":
        browser()
        execute([python, "-m", "pytest", *handed_on])
    elif arguments.command == "bench":
        execute([python, "-m", "bench.suite", *handed_on])
    elif arguments.command == "matrix":
        execute([python, "-m", "nox", *(["--list"] if arguments.list else [])])
    else:
        # The plugin of mypy reads the settings of the example.
        os.environ["PYTHONPATH"] = "example"
        checks = (
            ["ruff", "check"],
            ["ruff", "format", "--check"],
            ["mypy"],
            ["lint-imports", "--no-cache"],
            ["sphinx-build", "-E", "-W", "--keep-going", "-q", "-c", "docs", ".", "site"],
        )
        failed = [
            check for check in checks if subprocess.run([python.parent / check[0], *check[1:]], check=False).returncode
        ]
        sys.exit(f"run.py: failed: {', '.join(' '.join(check) for check in failed)}" if failed else 0)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="start a PostgreSQL, load rows, show the badges that are awarded, serve a site with them",
        description="Starts a PostgreSQL of its own (or uses the database in BADGES_DSN), loads 1,000 users and"
        " 10,000 sketches by COPY, makes single writes, and serves a site until Ctrl-C.",
    )
    demo.add_argument("--large", action="store_true", help="100,000 users and 1,000,000 sketches (about a minute)")
    demo.add_argument("--reset", action="store_true", help="delete the data of an earlier demo")
    demo.add_argument("--port", type=int, help="port of the site (8000, or a free one if that is in use)")
    demo.add_argument("--no-serve", action="store_true", help="exit after the writes")
    commands.add_parser(
        "test",
        help="run the tests; all further arguments go to pytest",
        description="Runs the tests. All further arguments go to pytest, for example: run.py test -k concurrency -x",
    )
    commands.add_parser(
        "bench",
        help="measure what badges cost; `run.py bench --help` has the options",
        description="Measures what badges cost, compared with alternatives; bench/suite.py has the options.",
    )
    commands.add_parser("lint", help="ruff check, ruff format --check, mypy, lint-imports, the docs and their links")
    matrix = commands.add_parser("matrix", help="the tests on other versions of Python, Django and PostgreSQL (nox)")
    matrix.add_argument("--list", action="store_true", help="list the sessions instead of running them")
    return parser.parse_args(arguments)


def environment(groups: list[str]) -> Path:
    """Make sure that the virtual environment has these dependency groups; return its Python."""
    folder = place()
    python = folder / "bin" / "python"
    wanted = hashlib.sha256((REPOSITORY / "pyproject.toml").read_bytes()).hexdigest()
    with lock(folder.parent):
        stamp = read_stamp(folder)
        if stamp and stamp.get("python") != sys.version:
            shutil.rmtree(folder)
            stamp = {}
        missing = [group for group in groups if stamp.get(group) != wanted]
        # An upgrade of the system can remove the Python that an environment points to.
        if not missing and python.exists():
            return python
        say(f"Installing into {folder} (once, about a minute) ...")
        create(folder, python)
        options = [option for group in missing for option in ("--group", f"{REPOSITORY / 'pyproject.toml'}:{group}")]
        pip(python, "install", "--editable", str(REPOSITORY), *options)
        installed = {**stamp, **dict.fromkeys(missing, wanted), "python": sys.version}
        (folder / "badges-stamp.json").write_text(json.dumps(installed))
    return python


def browser() -> None:
    """Install Chromium for the browser tests, where that needs no password; print a line where it is missing."""
    if any(map(shutil.which, BROWSERS)):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say("Installing Chromium with apt-get for the tests in a browser (once, about a minute) ...")
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        # A package list that is too old, or none, is the usual reason for a failure.
        steps = (["install"], ["update"], ["install"])
        for step in steps:
            packages = ["--no-install-recommends", "chromium"] if step == ["install"] else []
            done = run(["apt-get", "-q", "-y", "-o", f"DPkg::Lock::Timeout={APT_SECONDS}", *step, *packages])
            if step == ["install"] and done.returncode == 0:
                return
    say("NOT TESTED: pages in a browser, as there is no Chromium (on Debian: apt-get install chromium)")


def place() -> Path:
    """The folder of the environment: in the repository, or in the user's cache if that is not writable."""
    folder = REPOSITORY / ".venv"
    if os.access(folder if folder.exists() else REPOSITORY, os.W_OK):
        return folder
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "django-pg-badges"
    cache.mkdir(parents=True, exist_ok=True)
    return cache / f"venv-{hashlib.sha256(str(REPOSITORY).encode()).hexdigest()[:12]}"


def lock(folder: Path) -> contextlib.AbstractContextManager[object]:
    """Keep a second start from installing at the same time."""
    stack = contextlib.ExitStack()
    descriptor = os.open(folder, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    # Some network file systems have no locks.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return stack


def read_stamp(folder: Path) -> dict[str, str]:
    """The dependencies that an earlier start has installed into the environment, and its Python."""
    try:
        stamp = json.loads((folder / "badges-stamp.json").read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def create(folder: Path, python: Path) -> None:
    """Make the environment, or repair an incomplete one, and give it a pip that knows dependency groups."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        sys.exit("run.py: this Python has no venv and ensurepip: on Debian and Ubuntu `apt install python3-venv`")
    if not python.exists() or pip_version(python) is None:
        made = run([sys.executable, "-m", "venv", str(folder)])
        if made.returncode:
            # Debian's Python has an ensurepip that only names the missing package.
            fail(made, f"no virtual environment in {folder} (on Debian and Ubuntu: `apt install python3-venv`)")
    if (pip_version(python) or (0,)) < PIP:
        pip(python, "install", "--upgrade", f"pip>={PIP[0]}.{PIP[1]}")


def pip_version(python: Path) -> tuple[int, ...] | None:
    """The version of the environment's pip, None if it has none."""
    match = re.match(r"pip (\d+)\.(\d+)", run([str(python), "-m", "pip", "--version"]).stdout)
    return (int(match[1]), int(match[2])) if match else None


def pip(python: Path, *arguments: str) -> None:
    """Run pip, silently unless it fails."""
    done = run([str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments])
    if done.returncode:
        fail(done, f"pip failed (is there a network?): {' '.join(arguments[:2])}")


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it prints."""
    # The user's own settings could direct pip out of the environment.
    unwanted = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PYTHONHOME", "PYTHONPATH"}
    variables = {name: value for name, value in os.environ.items() if name not in unwanted}
    return subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=variables,
    )


def fail(done: subprocess.CompletedProcess[str], message: str) -> None:
    """Show the output of a program, then an explanation, and exit."""
    sys.stderr.write(done.stdout.rstrip() + "\n")
    sys.exit(f"run.py: {message}")


def execute(command: Sequence[str | Path]) -> None:
    """Replace this process by that program."""
    sys.stdout.flush()
    os.execv(command[0], [str(part) for part in command])


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
