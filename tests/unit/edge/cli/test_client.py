"""The client of the command line: addresses, and errors that say what to do."""

from __future__ import annotations

import socket
import threading

import click
import pytest

from edge.cli.client import Client, Unreachable


def answering(answer: bytes) -> str:
    """The address of a server that gives one answer, whatever is asked."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, listener:
            connection.recv(10_000)
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_the_address_may_end_in_api() -> None:
    """Both forms are in use; texts come back as texts."""
    url = answering(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nid")

    assert "id" == Client(f"{url}/api/").call("POST", "workflow", body={})


def test_another_program_is_recognised() -> None:
    """A page of HTML is no answer of a daemon."""
    url = answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\noops")

    with pytest.raises(click.ClickException, match="is this a Baton daemon"):
        Client(url).call("GET", "version")


def test_a_cut_connection_is_told() -> None:
    """Who hangs up without an answer is not reachable."""
    with pytest.raises(Unreachable, match="did not answer properly"):
        Client(answering(b"")).call("GET", "version")
