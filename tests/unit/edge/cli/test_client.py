"""The client of the command line: addresses, and errors that say what to do."""

from __future__ import annotations

import socket
import threading

import click
import pytest

from edge.cli.client import Client, Refused, Unreachable


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


def test_who_has_no_key_is_told_where_one_goes() -> None:
    """The daemon's words are for clients of any kind; a command has variables."""
    body = b'{"status": 401, "message": "This device asks for a token"}'
    url = answering(
        b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )

    with pytest.raises(Refused, match="CONDUCTOR_AUTH_KEY and CONDUCTOR_AUTH_SECRET"):
        Client(url).call("GET", "version")
