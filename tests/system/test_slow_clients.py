"""Clients that send nothing, or slowly, don't keep the server from others."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask

from tests.serving import Server

THREADS = 8  # of the server: two workers of four
CLIENTS = {
    "silent": b"",
    "in the headers": b"GET /api/movies/ HTTP/1.1\r\nHost: x\r\n",
    "in the body": (
        b"POST /api/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 900\r\n\r\n{"
    ),
}

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.skipif(
        not hasattr(socket, "TCP_DEFER_ACCEPT"), reason="this system has no TCP_DEFER_ACCEPT"
    ),
]


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_caller_is_answered_while_others_dawdle(
    app: Flask, database_url: str, running: ExitStack, kind: str
) -> None:
    server = Server(database_url, WEB_THREADS="4", RATELIMIT_ENABLED="off")
    running.callback(server.stop)
    others = 40 if kind == "silent" else THREADS
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(others)]
    for client in clients:
        running.callback(client.close)
        client.sendall(CLIENTS[kind])
    begun = time.monotonic()
    assert server.call("GET", "/api/movies/", timeout=30)[0] == 200
    waited = time.monotonic() - begun
    if kind == "silent":
        assert waited < 20  # one after the other would keep all threads for 25 s
        for client in clients:
            client.setblocking(False)
            with pytest.raises(BlockingIOError):  # they are connected all the time
                client.recv(1)
    else:
        # They had all threads, until their time was over.
        assert 2 < waited < 25
        for client in clients:
            client.settimeout(30)
            assert not client.recv(1000) or kind == "in the body"  # which is answered with 400


def test_what_a_server_that_faces_the_world_lacks_is_said_at_the_start(
    app: Flask, database_url: str, tmp_path: Path, running: ExitStack
) -> None:
    for host, is_said in (("127.0.0.1", False), ("0.0.0.0", True)):
        log = tmp_path / f"{host}.log"
        server = Server(database_url, log, HOST=host, WEB_CONCURRENCY="1")
        server.stop()
        assert ("put nginx in front" in log.read_text()) is is_said
