"""A server of pages in a process of its own, and clients that read its streams as a browser's EventSource does."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.signed_cookies import SessionStore
from processes import SECONDS, environment, eventually, process

ADDRESS = "/badges/live/"


def cookie_of(user: Any) -> str:
    """What a browser sends in which this user has logged in."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return f"sessionid={session.session_key}"


class Stream:
    """An open stream: `next()` gives its events one by one."""

    def __init__(self, port: int, user: Any, *, last: str = "", after: str = "", language: str = "en") -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        headers = {"Accept-Language": language, "Accept-Encoding": "gzip"}
        if user:
            headers["Cookie"] = cookie_of(user)
        if last:
            headers["Last-Event-ID"] = last
        self.connection.request("GET", ADDRESS + (f"?{urlencode({'after': after})}" if after else ""), headers=headers)
        self.response = self.connection.getresponse()
        self.id = last or after

    def next(self) -> tuple[str, Any]:
        """The name and the data of the next event; that of the end, if the server ends the stream."""
        name, data = "message", ""
        while line := self.response.readline():
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "id":
                self.id = value
            elif field == "event":
                name = value
            elif field == "data":
                data += value
            elif not line.strip() and data:
                return name, json.loads(data)
        return "end", None

    def is_ready(self) -> Stream:
        """Read up to what says that all from before has been sent."""
        assert self.next() == ("ready", {})
        return self

    def badges(self, count: int) -> list[tuple[str, str]]:
        """Kind and code of the next events."""
        found = [self.next() for _ in range(count)]
        assert {name for name, _ in found} == {"badge"}, found
        return [(data["kind"], data["code"]) for _, data in found]

    def is_silent(self, seconds: float = 0.5) -> bool:
        """Whether no event comes for a while."""
        self.connection.sock.settimeout(seconds)
        try:
            found = self.next()
        except TimeoutError:
            return True
        finally:
            self.close()
        raise AssertionError(found)

    def close(self) -> None:
        self.response.close()
        self.connection.close()


class Server:
    def __init__(self, port: int, running: Any) -> None:
        self.port = port
        self.process = running
        self._streams: list[Stream] = []

    def stream(self, user: Any, **options: Any) -> Stream:
        self._streams.append(Stream(self.port, user, **options))
        return self._streams[-1]

    def get(self, path: str, user: Any, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        connection.request("GET", path, headers={**headers, **({"Cookie": cookie_of(user)} if user else {})})
        response = connection.getresponse()
        response.text = response.read().decode()
        connection.close()
        return response

    def close(self) -> None:
        """End all streams."""
        for stream in self._streams:
            stream.close()
        self._streams.clear()


@contextlib.contextmanager
def server(folder: Path, **settings: Any) -> Iterator[Server]:
    """uvicorn with the site, on a port of its own."""
    with uvicorn("sites.listening.asgi:application", environment(folder / "received", **settings)) as made:
        yield made


@contextlib.contextmanager
def uvicorn(application: str, env: dict[str, str]) -> Iterator[Server]:
    """uvicorn with an application, on a port of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ("-m", "uvicorn", application, "--port", str(port), "--log-level", "warning")
    with process(*command, env=env) as running:

        def answers() -> bool:
            assert running.poll() is None, running.stdout.read()
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                return True
            return False

        eventually(answers)
        made = Server(port, running)
        try:
            yield made
        finally:
            made.close()
