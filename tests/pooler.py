"""A small pooler in front of a server: it lends a client one of its sessions for a transaction, or for good."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg

#: Requests for encryption, by SSL and by GSSAPI.
ENCRYPTION = (80877103, 80877104)


class Pooler:
    """Sessions of a server, of which the one that came back last is lent first, or (`is_fair`) the one before."""

    def __init__(self, dsn: str, *, size: int = 2, is_fair: bool = False, is_for_good: bool = False) -> None:
        self.is_for_good = is_for_good
        self.sessions = [psycopg.connect(dsn, autocommit=True) for _ in range(size)]
        self.idle: queue.Queue[socket.socket] = queue.Queue() if is_fair else queue.LifoQueue()
        for session in self.sessions:
            server = socket.socket(fileno=os.dup(session.fileno()))
            server.setblocking(True)
            self.idle.put(server)
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def close(self) -> None:
        self.listener.close()
        while not self.idle.empty():
            self.idle.get().close()
        for session in self.sessions:
            session.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server: socket.socket | None = None
        with client, contextlib.suppress(ConnectionError):
            self._greet(client)
            while (message := _message(client))[:1] != b"X":
                server = server or self.idle.get()
                server.sendall(message)
                if message[:1] in (b"Q", b"S"):
                    while (answer := _message(server))[:1] != b"Z":
                        client.sendall(answer)
                    # Lent to others before the client knows of the end of its transaction, as PgBouncer does.
                    if answer[5:] == b"I" and not self.is_for_good:
                        self.idle.put(server)
                        server = None
                    client.sendall(answer)
        if server:
            self.idle.put(server)

    def _greet(self, client: socket.socket) -> None:
        """Answer in the place of a server, with a key that is no session's."""
        while int.from_bytes((request := _exactly(client, 8))[4:]) in ENCRYPTION:
            client.sendall(b"N")
        _exactly(client, int.from_bytes(request[:4]) - 8)
        client.sendall(_of(b"R", bytes(4)))
        for name in ("server_version", "client_encoding", "standard_conforming_strings"):
            value = self.sessions[0].info.parameter_status(name) or ""
            client.sendall(_of(b"S", f"{name}\0{value}\0".encode()))
        client.sendall(_of(b"K", bytes(8)) + _of(b"Z", b"I"))


def _of(kind: bytes, content: bytes) -> bytes:
    return kind + (len(content) + 4).to_bytes(4) + content


def _message(sender: socket.socket) -> bytes:
    head = _exactly(sender, 5)
    return head + _exactly(sender, int.from_bytes(head[1:]) - 4)


def _exactly(sender: socket.socket, number: int) -> bytes:
    received = b""
    while len(received) < number:
        if not (part := sender.recv(number - len(received))):
            raise ConnectionError
        received += part
    return received


@contextlib.contextmanager
def pooled(dsn: str, **options: Any) -> Iterator[Pooler]:
    """A pooler, for as long as a block lasts."""
    pooler = Pooler(dsn, **options)
    try:
        yield pooler
    finally:
        pooler.close()
