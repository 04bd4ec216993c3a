import contextlib
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

STATS = b"GET /_sandbox/stats HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def connection(sandbox) -> Iterator[socket.socket]:
    parts = urlsplit(sandbox.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            data += chunk
    return data


def test_a_request_that_arrives_byte_by_byte_is_answered(connection):
    for byte in STATS + b"Connection: close\r\n\r\n":
        connection.sendall(bytes([byte]))
    assert read_all(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_requests_sent_at_once_are_answered_in_order(connection):
    """The second is quick, the first has to be waited for."""
    first = b"GET /_sandbox/counts HTTP/1.1\r\nHost: x\r\n\r\n"
    connection.sendall(first + STATS + b"Connection: close\r\n\r\n")
    answers = read_all(connection).split(b"HTTP/1.1 200 OK")
    assert [b"distinct" in answer for answer in answers[1:]] == [True, False]


def test_a_connection_stays_open(connection):
    for _ in range(3):
        connection.sendall(STATS + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_http_1_0_is_answered_and_closed(connection):
    connection.sendall(b"GET /_sandbox/stats HTTP/1.0\r\n\r\n")
    assert read_all(connection).startswith(b"HTTP/1.1 200 OK")


def test_a_chunked_body_is_understood(connection):
    body = json.dumps({"latency_ms": 0}).encode()
    head = b"POST /_sandbox/latency HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    connection.sendall(head + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
    assert b'{"ok":true}' in read_all(connection)


def test_a_whole_address_is_understood(connection):
    connection.sendall(b"GET http://openapi.xg.qq.com/_sandbox/stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert read_all(connection).startswith(b"HTTP/1.1 200 OK")


def test_what_is_no_http_is_refused(connection):
    connection.sendall(b"hello\r\n\r\n")
    assert read_all(connection).startswith(b"HTTP/1.1 400 Bad Request")


def test_too_large_a_body_is_refused(connection):
    size = 5 * 1024 * 1024
    connection.sendall(b"POST /v2/push/single_device HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    with contextlib.suppress(ConnectionError):
        connection.sendall(b"x" * size)
    assert b"413" in read_all(connection)[:20]


def test_an_unknown_path_is_not_found(sandbox):
    with pytest.raises(requests.HTTPError) as refused:
        sandbox._get("nothing", {})
    assert refused.value.response.status_code == 404
