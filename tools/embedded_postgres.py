"""A private PostgreSQL server for as long as a `with` block lasts: nothing to install, no root, no container.

    with embedded_postgres.run() as server:
        psycopg.connect(server.dsn)

`postgres_binaries` says where the programs come from. With a DSN in the environment variable BADGES_DSN, `database()`
starts no server and hands that out.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

import postgres_binaries
from postgres_binaries import PostgresError

#: For a server with disposable data: it survives its own crash, but not that of the machine.
THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

START_SECONDS = 60.0


class Server:
    """One PostgreSQL server: its files below `directory`, its clients through a private socket or 127.0.0.1.

    `host` is the socket's folder. There the superuser `postgres` needs no password, as no other user can enter it. The
    TCP port is open to every user of the machine, so it asks for the password that `conninfo(tcp=True)` contains.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self.bin = postgres_binaries.binaries()
        self.directory = directory
        self.data = directory / "data"
        self.log = directory / "server.log"
        self.settings = dict(settings)
        # A socket's path may be about 100 bytes long, and a temporary folder elsewhere can be longer.
        self.host = tempfile.mkdtemp(prefix="pg-", dir="/tmp")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        postgres_binaries.hand_over(Path(self.host))

    @property
    def dsn(self) -> str:
        """The database `postgres` through the socket, as superuser."""
        return self.conninfo()

    def conninfo(self, database: str = "postgres", *, tcp: bool = False) -> str:
        """A connection URL for `database`, through the socket or through 127.0.0.1."""
        if not tcp:
            return f"postgresql://postgres@/{quote(database)}?{urlencode({'host': self.host, 'port': self.port})}"
        password = (self.directory / "password").read_text()
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/{quote(database)}"

    def start(self) -> None:
        """Start the server and wait until it takes connections. It ends with this process, however that ends."""
        if not self.data.exists():
            self._initialise()
        deadline = time.monotonic() + START_SECONDS
        while not self._start_once(deadline):
            # A port that was free when it was chosen may be taken since.
            if "Address already in use" in self.log_tail():
                self.port = free_port()
            # Backends of a killed server hold its shared memory for a moment.
            elif "shared memory block" not in self.log_tail() or time.monotonic() > deadline:
                if is_running(self.directory):
                    raise PostgresError(f"another server is running on {self.data}: stop it first")
                raise PostgresError(f"PostgreSQL did not start, {self.log} says:\n{self.log_tail()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End all connections, roll back what they had open, write a checkpoint, stop."""
        # SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one.
        for number, seconds in ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
            if self._process is None or self._process.poll() is not None:
                break
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self._process = None

    def kill(self) -> None:
        """Crash: SIGKILL for the server and its backends. `start()` then recovers from the write-ahead log."""
        if self._process is None:
            return
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        backends = children.read_text().split() if children.exists() else []
        self._process.kill()
        self._process.wait()
        self._process = None
        for pid in backends:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def log_tail(self) -> str:
        """The last lines that the server has written since its start."""
        text = self.log.read_bytes()[self._log_start :].decode(errors="replace")
        return "\n".join(text.splitlines()[-8:])

    def _initialise(self) -> None:
        # Made under another name, so that an interrupted initdb leaves nothing that looks complete.
        new, password = self.directory / "data.new", self.directory / "password"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16))
        postgres_binaries.hand_over(new, password)
        options = ["--username=postgres", "--encoding=UTF8", "--no-locale", "--no-instructions", f"--pgdata={new}"]
        options += ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}"]
        if self.settings.get("fsync") == "off":
            options.append("--no-sync")
        done = postgres_binaries.run_as_server_user(self.bin / "initdb", *options)
        if done.returncode:
            raise PostgresError(f"initdb failed in {self.directory}:\n{done.stderr.strip()}")
        new.rename(self.data)

    def _start_once(self, deadline: float) -> bool:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": self.host,
            "timezone": "UTC",
            "log_timezone": "UTC",
            **self.settings,
        }
        assignments = [f"--{name}={value}" for name, value in settings.items()]
        # Not truncated: another server may be using this directory, which PostgreSQL will then report.
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.data, *assignments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal must reach our process alone, which stops the server when it is done with it.
                start_new_session=True,
                preexec_fn=stopping_with_parent(),  # noqa: PLW1509 - it takes no lock that a thread could hold
                **postgres_binaries.process_options(),
            )
        pidfile = self.data / "postmaster.pid"
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                lines = pidfile.read_text().split("\n")
                if lines[0] == str(self._process.pid) and len(lines) > 7 and lines[7].strip() == "ready":
                    return True
            time.sleep(0.02)
        return False


@contextlib.contextmanager
def run(directory: Path | None = None, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Yield a started server that is stopped at the end of the block.

    Without a directory the server is a throw-away: quick, not durable, and deleted afterwards. In a directory (below
    `postgres_binaries.home()`, say) the data stay for the next time. To be called in the main thread: Linux stops the
    server when the thread that started it ends.
    """
    user = postgres_binaries.server_user()
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="badges-", dir="/tmp" if user else None))
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            directory.chmod(0o711)
            settings = {**THROW_AWAY, **(settings or {})}
        elif not directory.exists():
            directory.mkdir(parents=True)
            directory.chmod(0o711)
        server = Server(directory, settings or {})
        stack.callback(shutil.rmtree, server.host, ignore_errors=True)
        stack.callback(server.stop)
        # For callers who never leave the block, where the system does not stop the server with us.
        atexit.register(server.stop)
        stack.callback(atexit.unregister, server.stop)
        server.start()
        yield server


@contextlib.contextmanager
def database(directory: Path | None = None, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield a DSN: that of the environment variable BADGES_DSN, else that of a server as `run` starts it."""
    if dsn := os.environ.get("BADGES_DSN"):
        yield dsn
        return
    with run(directory, settings) as server:
        yield server.dsn


def demo_dsn_file() -> Path:
    """Where a running demo leaves its DSN, so that `manage.py` finds its database."""
    return postgres_binaries.home() / "demo.dsn"


def is_running(directory: Path) -> bool:
    """Whether a server uses the data in this directory."""
    try:
        pid = int((directory / "data" / "postmaster.pid").read_text().split("\n")[0])
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def stopping_with_parent() -> Callable[[], None] | None:
    """What a child must do before exec so that it gets a fast shutdown when we are gone, even by SIGKILL."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()
    set_death_signal = 1

    def in_child() -> None:
        prctl(set_death_signal, int(signal.SIGINT))
        if os.getppid() != parent:
            os._exit(1)

    return in_child
