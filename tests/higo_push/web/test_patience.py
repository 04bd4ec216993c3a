"""The real web server: requests that never end, too large ones, and what stands in its log and its headers."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
import requests
from django.contrib.auth.models import User
from django.test import Client

from higo_push.web import patience
from pushes.console.operators import roles
from pushes.models import ApiToken
from tests.higo_push.conftest import StartWeb
from tests.make import make_operator

pytestmark = pytest.mark.django_db(transaction=True)

HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "
POST = b"POST /api/v1/pushes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
BODY = POST + b"Content-Length: 4000\r\n\r\n[{"
CHUNKS = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[{\r\n"


def connected(url: str) -> socket.socket:
    place = urlsplit(url)
    return socket.create_connection((str(place.hostname), place.port or 80), timeout=10)


@contextmanager
def half_requests(url: str, number: int, what: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as opened:
        halves = []
        for _ in range(number):
            half = opened.enter_context(connected(url))
            half.sendall(what)
            halves.append(half)
        yield halves


def healthz(url: str) -> float:
    """The seconds that its answer took."""
    began = time.monotonic()
    assert requests.get(f"{url}/healthz", timeout=5).status_code == 200
    return time.monotonic() - began


def test_half_requests_leave_it_answering(start_web: StartWeb) -> None:
    url = start_web()
    for what in (HEAD, BODY, CHUNKS, b""):
        with half_requests(url, 400, what):
            assert max(healthz(url) for _ in range(10)) < 2


def test_more_than_there_are_places_leave_it_answering(start_web: StartWeb) -> None:
    url = start_web(WEB_CONNECTIONS="100")
    with half_requests(url, 150, HEAD) as first, half_requests(url, 150, BODY):
        for _ in range(10):
            assert healthz(url) < 2
            with half_requests(url, 20, HEAD):
                assert healthz(url) < 2
        # The longest waited for made room.
        assert closed(first[0])


def closed(half: socket.socket) -> bool:
    half.settimeout(0.5)
    try:
        return half.recv(100) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def test_a_request_that_drips_ends(start_web: StartWeb) -> None:
    url = start_web()
    began = time.monotonic()
    with half_requests(url, 3, HEAD) as halves:
        is_open = True
        while is_open and time.monotonic() - began < 2 * patience.WAIT_SECONDS:
            time.sleep(0.5)
            try:
                for half in halves:
                    half.sendall(b"a")
            except OSError:
                is_open = False
        assert not is_open
    assert patience.WAIT_SECONDS - 1 < time.monotonic() - began < patience.WAIT_SECONDS + 8


def test_a_slow_upload_that_goes_on_is_taken(start_web: StartWeb) -> None:
    """At twice the least speed, for longer than any pause may be."""
    url = start_web()
    _token, clear = ApiToken.issue("slow", ["push"])
    body = json.dumps([{"type": 5, "to_id": "1", "app": "higo", "message": "x" * 200} for _ in range(900)]).encode()
    head = (
        f"POST /api/v1/pushes HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {clear}\r\n"
        f"Content-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    step = patience.MIN_BYTES_PER_SECOND
    began = time.monotonic()
    with connected(url) as client:
        client.sendall(head.encode())
        for at in range(0, len(body), step):
            client.sendall(body[at : at + step])
            time.sleep(0.45)
        answer = client.recv(100)
    assert time.monotonic() - began > patience.WAIT_SECONDS
    assert b" 202 " in answer


def test_a_body_that_is_too_large_is_a_413_in_json(start_web: StartWeb) -> None:
    url = start_web()
    pieces = (b" " * 1_000_000 for _ in range(20))
    for body in (b" " * patience.MAX_BODY_BYTES, b" " * patience.MAX_BODY_BYTES * 2, pieces):
        answer = requests.post(f"{url}/api/v1/pushes", data=body, timeout=20)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
        assert answer.headers["Content-Type"] == "application/json"
    # Beside the API it is no JSON.
    assert answer.json()["error"]["message"].endswith("A request may have at most 16,777,216 bytes.")
    answer = requests.post(f"{url}/admin/login/", data=b" " * patience.MAX_BODY_BYTES, timeout=20)
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "text/plain; charset=utf-8")
    assert (
        requests.get(f"{url}/api/v1/x", headers={"X-A": "a" * patience.MAX_HEAD_BYTES}, timeout=20).status_code == 431
    )


UNREADABLE = (
    b"\x00\xff\xfe",
    b"GET",
    b"GET http://[::1/healthz HTTP/1.1",
    POST + b"Content-Length: " + b"9" * 5_000,
    b"GET /healthz HTTP/1.1\r\n: x",
)


def test_a_head_that_cannot_be_read_is_a_400(start_web: StartWeb, capfd: pytest.CaptureFixture[str]) -> None:
    url = start_web()
    for head in UNREADABLE:
        with connected(url) as client:
            client.sendall(head + b"\r\n\r\n")
            answer = client.recv(4_000)
        assert answer.split(b" ", 2)[1] == b"400", head[:40]
    assert "uncaptured" not in capfd.readouterr().err


def test_a_refusal_is_one_line_in_the_log(start_web: StartWeb, capfd: pytest.CaptureFixture[str]) -> None:
    url = start_web()
    with requests.Session() as browser:
        browser.cookies.set("sessionid", session_of(make_operator(roles.VIEWER)))
        capfd.readouterr()
        for page in ("auth/user/", "pushes/appkey/add/", "no/such/page/", "pushes/apitoken/"):
            assert browser.get(f"{url}/admin/{page}", timeout=20).status_code in (403, 404)
        assert browser.post(f"{url}/admin/me/", timeout=20).status_code == 403
    assert requests.get(f"{url}/admin/", headers={"Host": "evil.example"}, timeout=20).status_code == 400
    time.sleep(0.5)
    log = capfd.readouterr().err
    assert log.count("Forbidden") == 4
    assert "Invalid HTTP_HOST header" in log
    assert "Traceback" not in log
    assert len(log.splitlines()) <= 8


def session_of(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value
