import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pushes.providers.base import MAX_ANSWER_BYTES, Answer, HttpRequest, HttpResponse, TransportFailure
from pushes.providers.http import HttpWindow
from pushes.providers.one_shot import calls
from tests.pushes.providers.certificates import server_context
from tests.pushes.providers.raw_server import OK, Connection, answering, serving

FORM = ("Content-Type: application/x-www-form-urlencoded",)


@pytest.fixture
def window() -> Iterator[HttpWindow]:
    window = HttpWindow(8, timeout_seconds=0.5, connect_timeout_seconds=0.3)
    yield window
    window.close()


def request_to(url: str, body: bytes = b"a=1") -> HttpRequest:
    return HttpRequest(url, body, FORM)


def one(window: HttpWindow, url: str, body: bytes = b"a=1") -> Any:
    window.add("tag", request_to(url, body))
    ((tag, answer),) = window.collect(5)
    assert tag == "tag"
    return answer


def called(request: HttpRequest, timeout_seconds: float) -> Any:
    (answer,) = calls([request], timeout_seconds)
    return answer


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


class TestWindow:
    def test_an_answer_comes_back_with_its_tag(self, window):
        with serving(answering()) as server:
            answer = one(window, server.url)
        assert isinstance(answer, HttpResponse)
        assert (answer.status, answer.body) == (200, b'{"ret_code":0}')

    def test_header_names_are_in_lower_case(self, window):
        with serving(answering(b"HTTP/1.1 503 Busy\r\nRetry-After:  7\r\nContent-Length: 0\r\n\r\n")) as server:
            answer = one(window, server.url)
        assert dict(answer.headers) == {"retry-after": "7", "content-length": "0"}

    def test_an_interim_answer_leaves_no_headers(self, window):
        interim = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
        with serving(answering(interim + OK)) as server:
            answer = one(window, server.url)
        assert "retry-after" not in answer.headers
        assert len(answer.headers) == 2

    def test_the_request_is_a_post_with_our_headers_and_body(self, window):
        heads = []

        def handle(connection: Connection) -> None:
            heads.append(connection.read_request())
            connection.send(OK)

        with serving(handle) as server:
            one(window, server.url, "message=新订单".encode())
        assert heads[0].startswith(b"POST /v2/push/single_device HTTP/1.1\r\n")
        assert b"\r\nContent-Type: application/x-www-form-urlencoded\r\n" in heads[0]
        assert heads[0].endswith("message=新订单".encode())

    def test_a_large_body_does_not_wait_for_100_continue(self, window):
        heads = []

        def handle(connection: Connection) -> None:
            heads.append(connection.read_request())
            connection.send(OK)

        with serving(handle) as server:
            answer = one(window, server.url, b"x" * 3_000_000)
        assert answer.status == 200
        assert b"\r\nexpect:" not in heads[0].partition(b"\r\n\r\n")[0].lower()

    def test_connections_stay_open_between_windows(self, window):
        with serving(answering()) as server:
            for _ in range(5):
                one(window, server.url)
            assert server.connections == 1

    def test_many_run_at_once(self, window):
        all_are_here = threading.Barrier(8)

        def together(connection: Connection) -> None:
            connection.read_request()
            all_are_here.wait(10)
            connection.send(OK)

        with serving(together) as server:
            for number in range(8):
                window.add(number, request_to(server.url))
            tags: set[int] = set()
            while window.in_flight:
                tags |= {tag for tag, _ in window.collect(5)}
        assert tags == set(range(8))
        assert not all_are_here.broken

    def test_free_and_in_flight_add_up(self, window):
        with serving(answering()) as server:
            window.add(1, request_to(server.url))
            assert (window.free, window.in_flight) == (7, 1)
            window.collect(5)
        assert (window.free, window.in_flight) == (8, 0)

    def test_a_full_window_refuses_another(self, window):
        with serving(Connection.wait_until_client_leaves) as server:
            for number in range(8):
                window.add(number, request_to(server.url))
            with pytest.raises(RuntimeError, match="8 requests are in flight"):
                window.add(9, request_to(server.url))

    def test_a_request_without_a_body_is_refused(self, window):
        with pytest.raises(ValueError, match="has no body"):
            window.add(1, request_to("http://127.0.0.1/", b""))
        assert window.free == 8

    def test_a_window_of_none_is_refused(self):
        with pytest.raises(ValueError, match="concurrency=0"):
            HttpWindow(0, 1)

    def test_collect_gives_up_waiting_in_time(self, window):
        with serving(Connection.wait_until_client_leaves) as server:
            window.add(1, request_to(server.url))
            started = time.monotonic()
            assert window.collect(0.05) == []
        assert time.monotonic() - started > 0.04

    def test_collecting_from_an_idle_window_returns_at_once(self, window):
        started = time.monotonic()
        assert window.collect(60) == []
        assert time.monotonic() - started < 30

    def test_a_redirect_is_not_followed(self, window):
        with serving(answering()) as target:
            moved = f"HTTP/1.1 302 Found\r\nLocation: {target.url}\r\nContent-Length: 0\r\n\r\n".encode()
            with serving(answering(moved)) as server:
                answer = one(window, server.url)
            assert (answer.status, target.connections) == (302, 0)

    def test_proxies_of_the_environment_are_ignored(self, window, monkeypatch):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, closed_port())
        with serving(answering()) as server:
            assert one(window, server.url).status == 200

    def test_what_is_abandoned_does_not_answer_the_next_caller(self, window):
        def hang_on_old(connection: Connection) -> None:
            if b"old" in connection.read_request():
                time.sleep(0.1)
            connection.send(OK)

        with serving(hang_on_old) as server:
            for number in range(3):
                window.add(f"old {number}", request_to(server.url, b"old"))
            window.collect(0.02)
            assert sorted(window.abandon()) == ["old 0", "old 1", "old 2"]
            assert (window.in_flight, window.free) == (0, 8)
            assert one(window, server.url).status == 200
            time.sleep(0.15)
            assert window.collect(0.1) == []

    def test_abandoning_nothing_is_nothing(self, window):
        assert window.abandon() == []

    def test_closing_cuts_what_is_under_way(self):
        window = HttpWindow(2, timeout_seconds=5)
        with serving(Connection.wait_until_client_leaves) as server:
            window.add(1, request_to(server.url))
            window.collect(0.05)
            window.close()
        assert window.in_flight == 0


class TestFailure:
    """Over HTTP/1.1, `was_sent` is False only where not a byte of the request can have left."""

    def failure(self, answer: Answer, *, was_sent: bool) -> TransportFailure:
        assert isinstance(answer, TransportFailure)
        assert answer.was_sent is was_sent
        return answer

    def test_a_refused_connection_was_not_sent(self, window):
        self.failure(one(window, closed_port()), was_sent=False)

    def test_a_name_that_does_not_resolve_was_not_sent(self, window):
        self.failure(one(window, "http://no-such-host.invalid/"), was_sent=False)

    def test_an_address_that_is_none_was_not_sent(self, window):
        self.failure(one(window, "http://"), was_sent=False)

    def test_a_scheme_other_than_http_was_not_sent(self, window):
        self.failure(one(window, "ftp://127.0.0.1/"), was_sent=False)

    def test_a_connection_that_does_not_come_up_was_not_sent(self, window):
        with full_backlog() as url:
            started = time.monotonic()
            self.failure(one(window, url), was_sent=False)
        assert time.monotonic() - started < 1

    def test_no_answer_in_time_was_sent(self, window):
        with serving(Connection.wait_until_client_leaves) as server:
            started = time.monotonic()
            self.failure(one(window, server.url), was_sent=True)
        assert 0.4 < time.monotonic() - started < 1.5

    def test_an_answer_cut_in_its_middle_was_sent(self, window):
        with serving(answering_once(OK[:-3])) as server:
            self.failure(one(window, server.url), was_sent=True)

    def test_a_reset_before_the_answer_was_sent(self, window):
        def reset(connection: Connection) -> None:
            connection.read_request()
            connection.reset()

        with serving(reset) as server:
            self.failure(one(window, server.url), was_sent=True)
            assert len(server.requests) == 1

    def test_something_other_than_http_was_sent(self, window):
        with serving(answering_once(b"\x00\x01 who are you?\r\n\r\n")) as server:
            self.failure(one(window, server.url), was_sent=True)

    @pytest.mark.parametrize("chunked", [False, True])
    def test_an_answer_beyond_the_cap_was_sent(self, window, chunked):
        body = b"x" * (MAX_ANSWER_BYTES + 1)
        head = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        with serving(answering_once(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + framed)) as server:
            self.failure(one(window, server.url), was_sent=True)

    def test_a_kept_connection_that_closes_on_the_second_request_does_not_send_it_twice(self, window):
        """libcurl by itself would send it again on a new connection; the server may have acted on the first."""

        def close_on_second(connection: Connection) -> None:
            connection.read_request()
            connection.send(OK)
            connection.read_request()

        with serving(close_on_second) as server:
            assert one(window, server.url, b"first").status == 200
            self.failure(one(window, server.url, b"second"), was_sent=True)
            time.sleep(0.1)
            assert server.requests == [b"first", b"second"]

    def test_a_kept_connection_that_closed_while_idle_is_replaced(self, window):
        with serving(answering_once(OK)) as server:
            assert one(window, server.url).status == 200
            time.sleep(0.1)
            assert one(window, server.url).status == 200
            assert server.connections == 2

    def test_the_window_goes_on_after_failures(self, window):
        for _ in range(20):
            one(window, closed_port())
        with serving(answering()) as server:
            assert one(window, server.url).status == 200

    def test_no_failure_shows_the_body(self, window):
        assert "sign=s3cr3t" not in str(one(window, closed_port(), b"sign=s3cr3t"))


class TestTls:
    def test_a_trusted_certificate_is_accepted(self, certificate, settings):
        settings.PROVIDER_CA_FILE = str(certificate)
        window = HttpWindow(1, timeout_seconds=5)
        with serving(answering(), server_context(certificate)) as server:
            assert one(window, server.url).status == 200
        window.close()

    def test_an_untrusted_certificate_means_not_sent(self, window, certificate):
        with serving(answering(), server_context(certificate)) as server:
            answer = one(window, server.url)
            assert isinstance(answer, TransportFailure)
            assert (answer.was_sent, server.requests) == (False, [])

    def test_a_handshake_that_hangs_means_not_sent(self, window):
        with serving(Connection.wait_until_client_leaves) as server:
            answer = one(window, server.url.replace("http:", "https:"))
        assert isinstance(answer, TransportFailure)
        assert answer.was_sent is False

    def test_a_call_refuses_an_untrusted_certificate(self, certificate):
        with serving(answering(), server_context(certificate)) as server:
            answer = called(request_to(server.url), 5)
            assert isinstance(answer, TransportFailure)
            assert (answer.was_sent, server.requests) == (False, [])


class TestCall:
    def test_an_answer(self):
        with serving(answering()) as server:
            answer = called(request_to(server.url), 5)
        assert isinstance(answer, HttpResponse)
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b'{"ret_code":0}', "14")

    @pytest.mark.parametrize("url", ["http://no-such-host.invalid/", "http://", "ftp://127.0.0.1/", "none"])
    def test_what_never_left_says_so(self, url):
        answer = called(request_to(url), 1)
        assert isinstance(answer, TransportFailure)
        assert answer.was_sent is False

    def test_a_refused_connection_was_not_sent(self):
        assert called(request_to(closed_port()), 1).was_sent is False

    def test_a_slow_connect_was_not_sent(self):
        with full_backlog() as url:
            assert called(request_to(url), 0.2).was_sent is False

    def test_a_hanging_server_was_sent(self):
        with serving(Connection.wait_until_client_leaves) as server:
            assert called(request_to(server.url), 0.2).was_sent is True

    def test_a_cut_answer_was_sent(self):
        with serving(answering_once(OK[:-3])) as server:
            assert called(request_to(server.url), 1).was_sent is True

    def test_a_body_that_trickles_ends_in_time(self):
        def trickle(connection: Connection) -> None:
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
            while True:
                connection.send(b"x" * 4096)
                time.sleep(0.05)

        with serving(trickle) as server:
            started = time.monotonic()
            assert called(request_to(server.url), 0.3).was_sent is True
        assert time.monotonic() - started < 2

    @pytest.mark.parametrize(
        "drops",
        [
            [bytes([letter]) for letter in b"HTTP/1.1 200 OK and many words more"],
            [b"HTTP/1.1 200 OK\r\n", *[b"X-Drip: x\r\n"] * 1000],
            [b"HTTP/1.1 100 Continue\r\n\r\n"] * 1000,
            [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", *[b"x"] * 99],
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 1000],
            [b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 1000],
        ],
        ids=["status line", "headers", "interim answers", "body", "chunks", "body without a length"],
    )
    def test_bytes_that_drip_prolong_nothing(self, drops):
        with serving(dripping(drops)) as server:
            started = time.monotonic()
            assert called(request_to(server.url), 0.5).was_sent is True
            assert 0.4 < time.monotonic() - started < 1

    def test_a_handshake_that_drips_ends_in_time(self):
        with serving(dripping([b"\x16"] * 1000, reads_first=False)) as server:
            started = time.monotonic()
            answer = called(request_to(server.url.replace("http:", "https:")), 0.5)
            assert (answer.was_sent, server.requests) == (False, [])
            assert time.monotonic() - started < 1

    def test_nobody_waits_for_what_closing_waits_for(self, monkeypatch):
        """libcurl waits for a name look-up that hangs before it lets go of its handle."""
        close = HttpWindow.close

        def slow(window: HttpWindow) -> None:
            time.sleep(1)
            close(window)

        monkeypatch.setattr(HttpWindow, "close", slow)
        started = time.monotonic()
        assert called(request_to(closed_port()), 0.5).was_sent is False
        assert time.monotonic() - started < 0.9
        time.sleep(1.1)

    def test_several_take_the_time_of_the_slowest(self):
        with (
            serving(dripping([b"HTTP/1.1 200 OK\r\n", *[b"X-Drip: x\r\n"] * 1000])) as slow,
            serving(answering()) as quick,
        ):
            urls = [slow.url, quick.url, "http://", slow.url, slow.url]
            started = time.monotonic()
            answers = calls([request_to(url) for url in urls], 0.5)
            assert time.monotonic() - started < 1
        found = [a.was_sent if isinstance(a, TransportFailure) else a.status for a in answers]
        assert found == [True, 200, False, True, True]

    def test_no_request_is_no_answer(self):
        assert calls([], 1) == []

    def test_too_much_body_was_sent(self):
        body = b"x" * (MAX_ANSWER_BYTES + 1)
        with serving(answering_once(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)) as server:
            answer = called(request_to(server.url), 1)
        assert "larger than 65536" in answer.text

    def test_a_redirect_is_not_followed(self):
        moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        with serving(answering_once(moved)) as server:
            assert called(request_to(server.url), 1).status == 302


def dripping(drops: Sequence[bytes], *, reads_first: bool = True):
    """Send something every 50 ms, as long as somebody listens."""

    def handle(connection: Connection) -> None:
        if reads_first:
            connection.read_request()
        for drop in drops:
            connection.send(drop)
            time.sleep(0.05)

    return handle


def answering_once(data: bytes):
    """Answer one request and close the connection."""

    def handle(connection: Connection) -> None:
        connection.read_request()
        connection.send(data)

    return handle


@contextlib.contextmanager
def full_backlog() -> Iterator[str]:
    """An address whose connections stay half open: its queue is full and nobody accepts."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
