"""Programs of Debian's development branches, unpacked into a folder of their own and run on any Linux.

They bring their C library with them. Nothing is installed, and no root is needed.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import postgres_binaries

MIRROR = "http://deb.debian.org/debian"
SUITES = ("sid", "experimental")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
WAIT = 600
"""Seconds after which a command that waits for the network is given up."""


def usr(package: str) -> Path | None:
    """The folder `usr` of a package and of all that it depends on; None if it cannot be had."""
    folder = postgres_binaries.home() / f"debian-{package}"
    if (folder / "usr").exists():
        return folder / "usr"
    archives = _download(package)
    if not archives:
        return None
    new = folder.with_name(f"{folder.name}-new")
    shutil.rmtree(new, ignore_errors=True)
    for archive in archives:
        subprocess.run(["dpkg-deb", "--extract", archive, new], check=True)
    loader = next((new / "usr").glob("lib*/ld-linux-*.so.*"))
    libraries = next((new / "usr" / "lib").glob("*-linux-gnu"))
    for program in _programs(new / "usr"):
        places = [str(folder / path.relative_to(new)) for path in (loader, libraries)]
        _patch(program, *places)
    # Programs on their way to their place do not run, as they look for their libraries there.
    new.rename(folder)
    return folder / "usr"


def _download(package: str) -> list[Path]:
    """The archives of a package and of what it depends on, as on a system on which nothing is installed."""
    options = _apt()
    if options is None:
        return []
    archives = Path(postgres_binaries.home()) / "debian-apt" / "archives"
    shutil.rmtree(archives)
    (archives / "partial").mkdir(parents=True)
    # Of experimental, what the package itself is built from.
    preferences = f"Package: src:{package}\nPin: release *\nPin-Priority: 990\n"
    (archives.parent / "preferences").write_text(preferences)
    done = _run("apt-get", *options, "install", "--download-only", "--no-install-recommends", "--yes", package)
    return sorted(archives.glob("*.deb")) if done else []


@functools.cache
def _apt() -> list[str] | None:
    """Options with which apt-get knows these branches and nothing of the system; None where there is no apt-get."""
    if not KEYRING.exists() or not all(map(shutil.which, ("apt-get", "dpkg-deb"))) or not _patchelf().exists():
        return None
    folder = postgres_binaries.home() / "debian-apt"
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("lists/partial", "archives/partial", "none"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    sources = "".join(f"deb [signed-by={KEYRING}] {MIRROR} {suite} main\n" for suite in SUITES)
    (folder / "sources.list").write_text(sources)
    places = {
        "Dir::Etc::SourceList": "sources.list",
        "Dir::Etc::SourceParts": "none",
        "Dir::Etc::Preferences": "preferences",
        "Dir::Etc::PreferencesParts": "none",
        "Dir::State::Lists": "lists",
        "Dir::State::Status": "status",
        "Dir::Cache": ".",
        "Dir::Cache::Archives": "archives",
    }
    options = [option for key, name in places.items() for option in ("-o", f"{key}={folder / name}")]
    options += ["-o", "APT::Sandbox::User=", "-o", "Acquire::Languages=none", "-qq"]
    return options if _run("apt-get", *options, "update") else None


def _programs(folder: Path) -> Iterator[Path]:
    """The programs below `usr` that are no scripts."""
    for place in (folder / "bin", *folder.glob("lib/postgresql/*/bin")):
        for path in place.iterdir():
            if path.is_file() and not path.is_symlink() and path.read_bytes().startswith(b"\x7fELF"):
                yield path


def _patch(program: Path, loader: str, libraries: str) -> None:
    """Let a program start with its own C library, whatever the system has."""
    options = ["--set-interpreter", loader, "--force-rpath", "--set-rpath", libraries]
    subprocess.run([_patchelf(), *options, program], check=True)


def _patchelf() -> Path:
    return Path(sys.executable).parent / "patchelf"


def _run(*command: str) -> bool:
    """Whether a command succeeds."""
    try:
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=WAIT)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
