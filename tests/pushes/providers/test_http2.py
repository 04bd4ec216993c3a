"""The window over HTTP/2, against a server that does what servers do on bad days.

Two facts are held everywhere: nothing is processed twice, and nothing that was processed is reported as not sent.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame, PingFrame, PushPromiseFrame
from pytest_django import Settings

from pushes.providers import hosts, http2
from pushes.providers.base import MAX_ANSWER_BYTES, Answer, HttpRequest, HttpResponse, TransportFailure
from pushes.providers.http import HttpWindow
from pushes.providers.one_shot import calls
from tests.pushes.providers import raw_server
from tests.pushes.providers.certificates import server_context
from tests.pushes.providers.http2_server import GoneError, Http2Server, Request, ServerConnection, serving

SIZE = 64


@pytest.fixture
def window() -> Iterator[HttpWindow]:
    with closing(HttpWindow(SIZE, timeout_seconds=10, connect_timeout_seconds=5)) as window:
        yield window


@pytest.fixture
def hasty() -> Iterator[HttpWindow]:
    """A window that waits for nothing long."""
    with closing(HttpWindow(SIZE, timeout_seconds=0.6, connect_timeout_seconds=0.3)) as window:
        yield window


closing = contextlib.closing


def request_to(url: str, body: bytes = b"a=1", *headers: str) -> HttpRequest:
    return HttpRequest(url, body, headers, http2=True)


def one(window: HttpWindow, url: str, body: bytes = b"a=1") -> Any:
    window.add("tag", request_to(url, body))
    ((tag, answer),) = window.collect(15)
    assert tag == "tag"
    return answer


def bodies(count: int) -> list[bytes]:
    return [b"body %d" % number for number in range(count)]


def send(window: HttpWindow, url: str, wanted: list[bytes]) -> dict[bytes, Answer]:
    """Send every body once; the answers by body."""
    found: dict[bytes, Answer] = {}
    waiting = list(reversed(wanted))
    while waiting or window.in_flight:
        while waiting and window.free:
            body = waiting.pop()
            window.add(body, request_to(url, body))
        found.update(window.collect(15))
    assert sorted(found) == sorted(wanted)
    return found


def kinds(found: dict[bytes, Answer]) -> dict[str, set[bytes]]:
    """The bodies that were answered, those that may have been processed, and those that provably were not."""
    sorted_out: dict[str, set[bytes]] = {"answered": set(), "unknown": set(), "not sent": set()}
    for body, answer in found.items():
        if isinstance(answer, TransportFailure):
            sorted_out["unknown" if answer.was_sent else "not sent"].add(body)
        else:
            sorted_out["answered"].add(body)
    return sorted_out


def checked(server: Http2Server, found: dict[bytes, Answer]) -> dict[str, set[bytes]]:
    """The same, after holding it against what the server processed."""
    sorted_out = kinds(found)
    assert set(server.processed.values()) <= {1}
    assert sorted_out["answered"] <= set(server.processed)
    assert sorted_out["not sent"].isdisjoint(server.processed)
    return sorted_out


def failure(answer: Answer, *, was_sent: bool) -> str:
    assert isinstance(answer, TransportFailure)
    assert answer.was_sent is was_sent
    return answer.text


answering = ServerConnection.process_and_answer


def silent(connection: ServerConnection, request: Request) -> None:
    connection.process(request)


class TestCalls:
    @pytest.mark.parametrize("secure", [False, True])
    def test_an_answer_comes_back_with_its_tag(self, window, certificate, settings, secure):
        settings.PROVIDER_CA_FILE = str(certificate)
        context = server_context(certificate, "h2", "http/1.1") if secure else None

        def handle(connection: ServerConnection, request: Request) -> None:
            connection.answer(request, 410, b'{"reason":"Unregistered"}', (("apns-id", "17"),))

        with serving(handle, context) as server:
            answer = one(window, server.url)
        assert isinstance(answer, HttpResponse)
        assert (answer.status, answer.body) == (410, b'{"reason":"Unregistered"}')
        assert dict(answer.headers) == {"apns-id": "17"}

    def test_the_request_is_a_post_with_our_headers_and_body(self, window):
        seen: list[Request] = []

        def handle(connection: ServerConnection, request: Request) -> None:
            seen.append(request)
            connection.answer(request)

        with serving(handle) as server:
            window.add(
                1, request_to(server.url + "ab", "新订单".encode(), "Authorization: bearer x.y", "Apns-Topic: a")
            )
            window.collect(5)
            authority = server.url.split("/")[2]
        assert seen[0].body == "新订单".encode()
        assert seen[0].headers == {
            ":method": "POST",
            ":scheme": "http",
            ":authority": authority,
            ":path": "/3/device/ab",
            "content-length": "9",
            "authorization": "bearer x.y",
            "apns-topic": "a",
        }

    def test_a_long_head_and_a_long_body_arrive(self, window):
        seen: list[Request] = []

        def handle(connection: ServerConnection, request: Request) -> None:
            seen.append(request)
            connection.answer(request)

        with serving(handle) as server:
            window.add(1, request_to(server.url, b"x" * 300_000, f"long: {'y' * 40_000}"))
            [(_, answer)] = window.collect(5)
        assert answer.status == 200
        assert (len(seen[0].body), len(seen[0].headers["long"])) == (300_000, 40_000)

    def test_many_are_on_one_connection_at_once(self, window):
        def together(connection: ServerConnection, request: Request) -> None:
            connection.waiting.append(request)
            if len(connection.waiting) == SIZE:
                for waiting in connection.waiting:
                    connection.process_and_answer(waiting)

        with serving(together) as server:
            assert len(checked(server, send(window, server.url, bodies(SIZE)))["answered"]) == SIZE
            assert server.connections == 1

    def test_the_connection_stays_open_between_batches(self, window):
        with serving(answering) as server:
            for _ in range(5):
                one(window, server.url)
            assert server.connections == 1

    def test_requests_of_different_words_never_share_a_connection(self, window):
        with serving(answering) as server:
            for word in ("KEYA", "KEYB", "KEYA", "", "KEYB"):
                window.add(word, HttpRequest(server.url, b"a=1", http2=True, connection=word))
                [(tag, answer)] = window.collect(15)
                assert (tag, answer.status) == (word, 200)
            assert server.connections == 3

    def test_both_protocols_share_the_window(self, window):
        with serving(silent) as server, raw_server.serving(raw_server.answering()) as older:
            window.add("new", request_to(server.url))
            window.add("old", HttpRequest(older.url, b"a=1"))
            assert (window.in_flight, window.free) == (2, SIZE - 2)
            [(tag, answer)] = window.collect(5)
            assert (tag, answer.status, window.in_flight) == ("old", 200, 1)
            for number in range(window.free):
                window.add(number, request_to(server.url))
            with pytest.raises(RuntimeError, match=f"{SIZE} requests are in flight"):
                window.add("more", request_to(server.url))
            assert set(window.abandon()) == {"new", *range(SIZE - 1)}

    def test_collect_gives_up_waiting_in_time(self, window):
        with serving(silent) as server:
            window.add(1, request_to(server.url))
            started = time.monotonic()
            assert window.collect(0.05) == []
        assert 0.04 < time.monotonic() - started < 5

    def test_what_is_abandoned_does_not_answer_the_next_caller(self, window):
        def late(connection: ServerConnection, request: Request) -> None:
            if request.body == b"new":
                connection.answer(request, 201)
            else:
                connection.waiting.append(request)

        with serving(late) as server:
            for number in range(3):
                window.add(f"old {number}", request_to(server.url, b"old"))
            window.collect(0.05)
            server.wait_until(lambda: len(server.read) == 3)
            assert sorted(window.abandon()) == ["old 0", "old 1", "old 2"]
            assert one(window, server.url, b"new").status == 201
            assert sorted(server.all[0].cancelled) == [1, 3, 5]

    def test_a_window_that_is_closed_holds_no_connection(self, window):
        with serving(silent) as server:
            window.add(1, request_to(server.url))
            server.wait_until(lambda: bool(window.collect(0.01) or server.read))
            window.close()
            server.wait_until(lambda: server.all[0].stream.fileno() == -1)
        assert window.in_flight == 0

    def test_a_few_calls_at_once(self):
        with serving(answering) as server:
            found = calls([request_to(server.url, body) for body in bodies(3)], 5)
        assert [answer.status for answer in found if isinstance(answer, HttpResponse)] == [200, 200, 200]


class TestLimits:
    def test_one_stream_and_then_a_thousand(self, window):
        """As APNs does, before it has seen a valid token."""
        begun: list[int] = []

        def handle(connection: ServerConnection, request: Request) -> None:
            begun.append(connection.open)
            connection.process(request)
            if request.number == 1:
                connection.answer(request)
                time.sleep(0.05)  # the window sees the one before the other
                connection.allow(1000)
                return
            connection.waiting.append(request)
            if request.number == SIZE:
                for waiting in connection.waiting:
                    connection.answer(waiting)

        with serving(handle, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1}) as server:
            assert len(checked(server, send(window, server.url, bodies(SIZE)))["answered"]) == SIZE
            assert server.connections == 1
        assert (begun[0], max(begun)) == (1, SIZE - 1)

    def test_no_more_streams_than_are_allowed_and_then_another_connection(self, window):
        with serving(answering, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 3}) as server:
            found = checked(server, send(window, server.url, bodies(500)))
            assert len(found["answered"]) == 500
            assert 1 < server.connections <= http2.MAX_CONNECTIONS
            assert max(connection.most_open for connection in server.all) <= 3

    def test_where_no_stream_is_allowed_nothing_is_sent(self, hasty):
        with serving(answering, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 0}) as server:
            assert len(checked(server, send(hasty, server.url, bodies(3)))["not sent"]) == 3
            assert server.read == []

    def test_a_body_larger_than_the_windows_arrives_in_pieces(self, window):
        with serving(answering, settings={SettingCodes.INITIAL_WINDOW_SIZE: 10}) as server:
            wanted = [b"%03d" % number * 50 for number in range(20)]
            assert len(checked(server, send(window, server.url, wanted))["answered"]) == 20

    def test_a_window_that_stays_empty_holds_back_what_does_not_fit(self, hasty):
        """The first, which the server has in part, may be processed."""
        with serving(answering, settings={SettingCodes.INITIAL_WINDOW_SIZE: 100}, grants_more=False) as server:
            found = send(hasty, server.url, [letter * 150 for letter in (b"a", b"b", b"c")])
            assert b"a" * 150 in checked(server, found)["unknown"]
            assert server.read == []

    def test_an_answer_as_large_as_allowed(self, window):
        def large(connection: ServerConnection, request: Request) -> None:
            head = connection.h2.encoder.encode([(":status", "200")])
            connection.raw(HeadersFrame(request.stream, head, flags=["END_HEADERS"]))
            pieces = [b"x" * 16_384] * (MAX_ANSWER_BYTES // 16_384)
            connection.raw(*[DataFrame(request.stream, piece) for piece in pieces])
            extra = b"x" if request.body == b"more" else b""
            connection.raw(DataFrame(request.stream, extra, flags=["END_STREAM"]))

        # To the library the streams stay open, since it does not see the answers.
        with serving(large, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1000}) as server:
            assert len(one(window, server.url).body) == MAX_ANSWER_BYTES
            assert f"larger than {MAX_ANSWER_BYTES}" in failure(one(window, server.url, b"more"), was_sent=True)
            for _ in range(300):  # more than the connection's window
                assert len(one(window, server.url).body) == MAX_ANSWER_BYTES
            assert server.connections == 1


class TestProvablyNotProcessed:
    @pytest.mark.parametrize("answers_lower", [True, False])
    def test_above_the_last_stream_of_a_goaway(self, window, answers_lower):
        """The 20 above go to the next connection; the 20 below are answered, or unknown."""

        def handle(connection: ServerConnection, request: Request) -> None:
            if connection is not server.all[0]:
                connection.process_and_answer(request)
                return
            connection.waiting.append(request)
            if request.number == 40:
                connection.leave(connection.waiting[19].stream)
                for lower in connection.waiting[:20]:
                    connection.process(lower)
                    if answers_lower:
                        connection.answer(lower)
                connection.end()

        with serving(handle) as server:
            found = checked(server, send(window, server.url, bodies(40)))
            assert len(found["answered"]) == (40 if answers_lower else 20)
            assert found["unknown"] == (set() if answers_lower else set(bodies(20)))
            assert server.connections == 2

    def test_a_farewell_in_two_steps(self, window):
        """First a GOAWAY that only announces the end, then the true last stream."""

        def handle(connection: ServerConnection, request: Request) -> None:
            if connection is not server.all[0]:
                connection.process_and_answer(request)
                return
            connection.waiting.append(request)
            if request.number == 10:
                connection.leave(2**31 - 1)
                connection.leave(connection.waiting[4].stream)
                for lower in connection.waiting[:5]:
                    connection.process_and_answer(lower)
                connection.end()

        with serving(handle) as server:
            assert len(checked(server, send(window, server.url, bodies(10)))["answered"]) == 10

    @pytest.mark.parametrize("ends", ["politely", "with a reset"])
    @pytest.mark.parametrize("secure", [False, True])
    def test_a_rolling_restart_costs_nothing(self, window, certificate, settings, secure, ends):
        settings.PROVIDER_CA_FILE = str(certificate)
        context = server_context(certificate, "h2") if secure else None

        def handle(connection: ServerConnection, request: Request) -> None:
            connection.process_and_answer(request)
            if request.number == 70:
                connection.leave(request.stream)
                connection.end() if ends == "politely" else connection.cut()

        with serving(handle, context) as server:
            found = checked(server, send(window, server.url, bodies(2000)))
            if ends == "politely":
                assert len(found["answered"]) == 2000
            # A reset may take answers with it that were still on their way: those are unknown, and only those.
            assert found["not sent"] == set()
            assert server.connections > 20

    def test_a_refused_stream_is_sent_once_more(self, window):
        def handle(connection: ServerConnection, request: Request) -> None:
            if server.read.count(request.body) == 1:
                connection.reset(request, ErrorCodes.REFUSED_STREAM)
            else:
                connection.process_and_answer(request)

        with serving(handle) as server:
            assert len(checked(server, send(window, server.url, bodies(30)))["answered"]) == 30
            assert len(server.read) == 60

    def test_a_server_that_refuses_always_is_not_asked_for_ever(self, window):
        def handle(connection: ServerConnection, request: Request) -> None:
            connection.reset(request, ErrorCodes.REFUSED_STREAM)

        with serving(handle) as server:
            text = failure(one(window, server.url), was_sent=False)
            assert "REFUSED_STREAM" in text
            assert len(server.read) == 1 + http2.MAX_REPEATS

    def test_the_servers_own_words_are_told(self, window):
        def handle(connection: ServerConnection, request: Request) -> None:
            connection.leave(0, ErrorCodes.ENHANCE_YOUR_CALM, b'{"reason":"TooMany"}')

        with serving(handle) as server:
            text = failure(one(window, server.url), was_sent=False)
        assert 'ENHANCE_YOUR_CALM: {"reason":"TooMany"}' in text

    def test_a_socket_that_takes_no_more(self, hasty):
        """What was not written when its time was over is never written, though the server reads on later."""
        may_read = threading.Event()

        def greet(connection: ServerConnection) -> None:
            may_read.wait(10)

        large = 2**31 - 1
        with serving(answering, greet=greet, settings={SettingCodes.INITIAL_WINDOW_SIZE: large}) as server:
            add_connection_window(server, large)
            wanted = [body.ljust(300_000, b".") for body in bodies(SIZE)]
            found = send(hasty, server.url, wanted)
            may_read.set()
            time.sleep(0.3)
            sorted_out = checked(server, found)
            assert sorted_out["not sent"]
            assert sorted_out["unknown"]
            assert sorted_out["not sent"].isdisjoint(server.read)


class TestMayHaveBeenProcessed:
    def test_a_stream_that_is_reset_after_its_processing(self, window):
        def handle(connection: ServerConnection, request: Request) -> None:
            connection.process(request)
            connection.reset(request, ErrorCodes.INTERNAL_ERROR)

        with serving(handle) as server:
            found = send(window, server.url, bodies(5))
            assert len(checked(server, found)["unknown"]) == 5
            assert all("INTERNAL_ERROR" in failure(answer, was_sent=True) for answer in found.values())
            assert len(server.read) == 5

    def test_a_stream_that_is_refused_after_its_answer_began(self, window):
        def handle(connection: ServerConnection, request: Request) -> None:
            connection.process(request)
            connection.h2.send_headers(request.stream, [(":status", "200")])
            connection.reset(request, ErrorCodes.REFUSED_STREAM)

        with serving(handle) as server:
            assert len(checked(server, send(window, server.url, bodies(3)))["unknown"]) == 3
            assert len(server.read) == 3

    @pytest.mark.parametrize("secure", [False, True])
    def test_a_connection_that_dies_in_the_middle(self, window, certificate, settings, secure):
        """A fault of libcurl's own: over a kept connection it sends again what got no answer."""
        settings.PROVIDER_CA_FILE = str(certificate)

        def handle(connection: ServerConnection, request: Request) -> None:
            connection.process(request)
            if request.body == b"first":
                connection.answer(request)
            elif request.number == 21:
                connection.cut()

        with serving(handle, server_context(certificate, "h2") if secure else None) as server:
            assert one(window, server.url, b"first").status == 200
            found = checked(server, send(window, server.url, bodies(20)))
            assert len(found["unknown"]) == 20
            time.sleep(0.1)
            assert len(server.read) == 21

    def test_no_answer_in_time(self, hasty):
        with serving(silent) as server:
            started = time.monotonic()
            assert len(checked(server, send(hasty, server.url, bodies(10)))["unknown"]) == 10
            assert 0.5 < time.monotonic() - started < 3

    def test_a_slow_answer_takes_nothing_from_the_others(self):
        def handle(connection: ServerConnection, request: Request) -> None:
            connection.process(request)
            if request.body != b"slow":
                connection.answer(request)

        # Time enough for a busy machine to answer the others.
        with (
            serving(handle) as server,
            closing(HttpWindow(SIZE, timeout_seconds=2, connect_timeout_seconds=2)) as window,
        ):
            window.add(b"slow", request_to(server.url, b"slow"))
            found = send_beside(window, server.url, bodies(200))
            assert kinds(found)["unknown"] == {b"slow"}
            assert server.connections == 1

    def test_after_silence_the_next_goes_over_another_connection(self, hasty):
        """The other end may be gone, and nobody told us."""

        def handle(connection: ServerConnection, request: Request) -> None:
            connection.process(request)
            if connection is not server.all[0]:
                connection.answer(request)

        with serving(handle) as server:
            failure(one(hasty, server.url, b"1"), was_sent=True)
            assert one(hasty, server.url, b"2").status == 200

    @pytest.mark.parametrize(
        "frames",
        [
            lambda stream: [DataFrame(stream, b"no head", flags=["END_STREAM"])],
            lambda stream: [HeadersFrame(stream, b"\x40\x01a\x01b", flags=["END_HEADERS", "END_STREAM"])],
            lambda stream: [HeadersFrame(stream, b"\x08\x03101", flags=["END_HEADERS", "END_STREAM"])],
            lambda stream: [HeadersFrame(stream, b"\xff\xff\xff\xff\x0f", flags=["END_HEADERS"])],
            lambda stream: [HeadersFrame(stream, b"\x88"), DataFrame(stream, b"within a head")],
            lambda stream: [ContinuationFrame(stream, b"\x88")],
            lambda stream: [PushPromiseFrame(stream, 2, b"\x88", flags=["END_HEADERS"])],
            lambda _stream: [DataFrame(99, b"a stream that nobody opened")],
            lambda stream: [
                HeadersFrame(stream, b"\x88\x0f\x0d\x0210", flags=["END_HEADERS"]),
                DataFrame(stream, b"cut", flags=["END_STREAM"]),
            ],
            lambda stream: [HeadersFrame(stream, b"\x88", flags=["END_HEADERS"])] * 2,
            lambda stream: [HeadersFrame(stream, b"\x88"), *[ContinuationFrame(stream, b"\0" * 16_000)] * 5],
        ],
    )
    def test_an_answer_that_is_not_valid(self, window, frames: Callable[[int], list[Frame]]):
        def handle(connection: ServerConnection, request: Request) -> None:
            connection.process(request)
            connection.raw(*frames(request.stream))

        with serving(handle) as server:
            failure(one(window, server.url), was_sent=True)
            assert server.processed == {b"a=1": 1}
            server.behaviour.handle = answering
            assert one(window, server.url, b"the window goes on").status == 200


class TestAnswersInPieces:
    def test_bytes_that_come_one_by_one(self, window):
        with serving(answering, drips=True) as server:
            assert len(checked(server, send(window, server.url, bodies(20)))["answered"]) == 20

    def test_interim_answers_pieces_of_heads_padding_and_trailers(self, window):
        def handle(connection: ServerConnection, request: Request) -> None:
            stream = request.stream
            connection.raw(
                HeadersFrame(stream, b"\x08\x03103", flags=["END_HEADERS"]),
                HeadersFrame(stream, b"\x88", flags=["PRIORITY", "PADDED"], pad_length=7),
                ContinuationFrame(stream, b"\x40\x06"),
                ContinuationFrame(stream, b"answer\x03yes", flags=["END_HEADERS"]),
                PingFrame(0, b"12345678"),
                DataFrame(stream, b"hel", flags=["PADDED"], pad_length=9),
                DataFrame(stream, b""),
                DataFrame(stream, b"lo"),
                HeadersFrame(stream, b"\x40\x01a\x01b", flags=["END_HEADERS", "END_STREAM"]),
            )

        with serving(handle) as server:
            for _ in range(3):
                answer = one(window, server.url)
                assert (answer.status, answer.body, dict(answer.headers)) == (200, b"hello", {"answer": "yes"})

    def test_what_comes_for_a_stream_that_is_over_is_read_past(self, hasty):
        """Its head still changes the table that the next head refers to."""

        def handle(connection: ServerConnection, request: Request) -> None:
            connection.waiting.append(request)
            if len(connection.waiting) == 2:
                head = connection.h2.encoder.encode([(":status", "200"), ("a-new-name", "value")])
                connection.raw(HeadersFrame(connection.waiting[0].stream, head, flags=["END_HEADERS"]))
                connection.raw(DataFrame(connection.waiting[0].stream, b"late", flags=["END_STREAM"]))
                head = connection.h2.encoder.encode([(":status", "200"), ("a-new-name", "value")])
                connection.raw(HeadersFrame(request.stream, head, flags=["END_HEADERS", "END_STREAM"]))

        with serving(handle) as server:
            hasty.add(1, request_to(server.url))
            server.wait_until(lambda: bool(hasty.collect(0.01) or server.read))
            hasty.abandon()
            assert one(hasty, server.url).headers["a-new-name"] == "value"
            assert server.connections == 1


class TestConnections:
    def test_one_that_closed_while_idle_is_replaced(self, window):
        def handle(connection: ServerConnection, request: Request) -> None:
            connection.process_and_answer(request)
            connection.end()

        with serving(handle) as server:
            for body in bodies(5):
                assert one(window, server.url, body).status == 200
                time.sleep(0.05)
            assert server.connections == 5
            assert len(server.read) == 5

    def test_a_quiet_one_is_asked_before_it_is_used(self, window, monkeypatch):
        monkeypatch.setattr(http2, "QUIET_SECONDS", 0.0)
        with serving(answering) as server:
            for body in bodies(3):
                assert one(window, server.url, body).status == 200
            assert server.connections == 1

    def test_a_quiet_one_that_does_not_answer_costs_no_request(self, hasty, monkeypatch):
        """Such as behind a router that has forgotten it: the request goes over a new one."""
        monkeypatch.setattr(http2, "QUIET_SECONDS", 0.0)
        is_deaf = threading.Event()

        def handle(connection: ServerConnection, request: Request) -> None:
            connection.process_and_answer(request)
            if connection is server.all[0]:
                is_deaf.wait(10)
                raise GoneError

        with serving(handle) as server:
            assert one(hasty, server.url, b"1").status == 200
            assert one(hasty, server.url, b"2").status == 200
            assert server.connections == 2
            is_deaf.set()
        assert set(server.processed.values()) == {1}

    def test_a_server_without_http2_was_sent_nothing(self, window, certificate, settings):
        settings.PROVIDER_CA_FILE = str(certificate)
        for protocols in ((), ("http/1.1",)):
            with raw_server.serving(raw_server.answering(), server_context(certificate, *protocols)) as server:
                failure(one(window, server.url), was_sent=False)
                assert server.requests == []

    def test_a_plain_server_without_http2_was_sent_nothing(self, window):
        def handle(connection: raw_server.Connection) -> None:
            connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        with raw_server.serving(handle) as server:
            assert "not valid HTTP/2" in failure(one(window, server.url), was_sent=False)

    def test_an_untrusted_certificate_means_not_sent(self, window, certificate):
        with serving(answering, server_context(certificate, "h2")) as server:
            assert "certificate is not trusted" in failure(one(window, server.url), was_sent=False)
            assert server.connections == 0

    def test_a_certificate_for_another_name_means_not_sent(self, window, certificate, settings):
        settings.PROVIDER_CA_FILE = str(certificate)
        with serving(answering, server_context(certificate, "h2")) as server:
            url = server.url.replace("localhost", "127.0.0.1")
            assert "certificate is not trusted" in failure(one(window, url), was_sent=False)

    def test_a_handshake_that_hangs_means_not_sent(self, hasty):
        with raw_server.serving(raw_server.Connection.wait_until_client_leaves) as server:
            started = time.monotonic()
            failure(one(hasty, server.url.replace("http:", "https:")), was_sent=False)
        assert time.monotonic() - started < 3

    def test_a_server_that_never_says_a_word_means_not_sent(self, hasty):
        with raw_server.serving(raw_server.Connection.wait_until_client_leaves) as server:
            failure(one(hasty, server.url), was_sent=False)

    def test_a_server_that_leaves_at_once_is_not_called_again_and_again(self, window):
        def greet(connection: ServerConnection) -> None:
            connection.leave(0, ErrorCodes.ENHANCE_YOUR_CALM)
            connection.end()

        with serving(answering, greet=greet) as server:
            found = send(window, server.url, bodies(20))
            assert all("ENHANCE_YOUR_CALM" in failure(answer, was_sent=False) for answer in found.values())
            assert server.connections <= 1 + http2.MAX_REPEATS

    def test_nor_is_one_that_hangs_up(self, window):
        with raw_server.serving(raw_server.Connection.reset) as server:
            found = send(window, server.url, bodies(20))
            assert {failure(answer, was_sent=False) == "" for answer in found.values()} == {False}
            assert server.connections <= 1 + http2.MAX_REPEATS

    def test_after_the_last_number_of_a_stream_comes_another_connection(self, window):
        """At 4,000 pushes a second the numbers last three days."""
        with serving(answering) as server:
            assert one(window, server.url).status == 200
            [place] = window._http2._places.values()
            place.connections[0].streams._next = 2**31 - 5
            found = checked(server, send(window, server.url, bodies(20)))
            assert len(found["answered"]) == 20
            assert (server.connections, max(server.all[0].streams)) == (2, 2**31 - 3)

    def test_a_refused_connection_means_not_sent_for_all_that_wait(self, window):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            url = f"http://127.0.0.1:{probe.getsockname()[1]}/"
        found = send(window, url, bodies(20))
        assert {failure(answer, was_sent=False) for answer in found.values()} == {"Connection refused"}

    def test_a_name_that_does_not_resolve_means_not_sent(self, window):
        failure(one(window, "http://no-such-host.invalid/"), was_sent=False)

    @pytest.mark.parametrize(
        "url",
        ["http://", "ftp://127.0.0.1/", "http://a:b@127.0.0.1/", "http://127.0.0.1:99999/", "http://127.0.0.1/ x"],
    )
    def test_an_address_that_is_none_is_refused(self, window, url):
        with pytest.raises(ValueError, match=r"URL|port"):
            window.add(1, request_to(url))
        assert window.in_flight == 0

    @pytest.mark.parametrize("header", ["no colon", "a: b\r\nc: d", "Host: x", "Content-Length: 7", ": x", "a b: c"])
    def test_a_header_that_cannot_be_is_refused(self, window, header):
        with pytest.raises(ValueError, match="header"):
            window.add(1, request_to("http://127.0.0.1/", b"a=1", header))


class TestGuard:
    def test_the_address_is_looked_at_when_connecting(self, settings: Settings):
        settings.PROVIDER_HOSTS = ["localhost"]

        def vendor(url: str) -> hosts.Guard:
            return hosts.Guard(hosts.guard(url).place, is_chosen=False)

        with serving(answering) as server:
            (refused,) = calls([request_to(server.url)], 2, vendor)
            assert "localhost leads to" in failure(refused, was_sent=False)
            assert server.connections == 0
            (allowed,) = calls([request_to(server.url)], 2, hosts.guard)
            assert isinstance(allowed, HttpResponse)

    def test_the_window_asks_for_every_request(self, settings: Settings):
        settings.PROVIDER_HOSTS = ["localhost"]
        with serving(answering) as server, closing(HttpWindow(2, 5, guard=hosts.guard)) as window:
            assert one(window, server.url).status == 200
            settings.PROVIDER_HOSTS = ["gateway.example.com"]
            with pytest.raises(hosts.HostRefusedError):
                window.add("not", request_to(server.url))
            assert window.in_flight == 0


def send_beside(window: HttpWindow, url: str, wanted: list[bytes]) -> dict[bytes, Answer]:
    """`send`, with calls under way already."""
    found: dict[bytes, Answer] = {}
    waiting = list(wanted)
    while waiting or window.in_flight:
        while waiting and window.free:
            window.add(waiting[-1], request_to(url, waiting.pop()))
        found.update(window.collect(15))
    return found


def add_connection_window(server: Http2Server, size: int) -> None:
    """Let the client write as much as it likes on every connection to come."""
    greet = server.behaviour.greet

    def larger(connection: ServerConnection) -> None:
        connection.h2.increment_flow_control_window(size - 65_535)
        connection.flush()
        greet(connection)

    server.behaviour.greet = larger


def test_a_file_of_authorities_is_for_both_protocols(settings: Settings, certificate: Path):
    settings.PROVIDER_CA_FILE = str(certificate)
    with raw_server.serving(raw_server.answering(), server_context(certificate)) as older:
        (answer,) = calls([HttpRequest(older.url, b"a=1")], 5)
        assert isinstance(answer, HttpResponse)
