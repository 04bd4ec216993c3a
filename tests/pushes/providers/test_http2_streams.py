"""What one connection can tell of its requests, without a socket."""

import pytest

from pushes.providers import http2_wire as wire
from pushes.providers.base import HttpResponse, TransportFailure
from pushes.providers.http2_streams import Stream, Streams
from pushes.providers.http2_wire import frame

HEAD = frame(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, 1, b"\x88")


@pytest.fixture
def streams() -> Streams:
    """A connection whose greetings are over."""
    streams = Streams()
    streams.receive(frame(wire.SETTINGS, 0, 0, b""))
    write_all(streams)
    return streams


def write_all(streams: Streams) -> None:
    streams.tried(len(streams.out))
    streams.taken(len(streams.out))


def opened(streams: Streams, count: int) -> list[Stream]:
    return [streams.open(number, b"head", b"body") for number in range(count)]


def ended(streams: Streams) -> dict[object, bool | int]:
    """Each call that is over: the status of its answer, or whether it may have been processed."""
    return {
        call: answer.was_sent if isinstance(answer, TransportFailure) else answer.status
        for call, answer in streams.ended
    }


def test_what_no_socket_was_offered_was_not_sent_when_the_connection_breaks(streams):
    opened(streams, 1)
    write_all(streams)
    opened_later = [streams.open(number, b"head", b"body") for number in (1, 2)]
    streams.tried(opened_later[1].begins_at - opened_later[0].begins_at)
    streams.broke("gone")
    assert ended(streams) == {0: True, 1: True, 2: False}


def test_what_a_socket_was_offered_may_have_been_sent_though_it_took_nothing(streams):
    """TLS encrypts a piece and may have sent a part of it."""
    (stream,) = opened(streams, 1)
    assert not streams.was_sent(stream)
    streams.tried(1)
    assert streams.was_sent(stream)


def test_what_is_cancelled_unsent_is_never_written_nor_what_comes_after(streams):
    first, second, _third = opened(streams, 3)
    streams.tried(second.begins_at - first.begins_at)
    before = bytes(streams.out[: second.begins_at - first.begins_at])
    streams.cancel(second)
    assert bytes(streams.out) == before
    assert ended(streams) == {2: False}
    assert not streams.is_open
    streams.receive(frame(wire.PING, 0, 0, b"12345678"))
    assert bytes(streams.out) == before
    streams.receive(HEAD)
    assert ended(streams) == {2: False, 0: 200}


def test_what_is_cancelled_when_sent_is_told_to_the_server(streams):
    (stream,) = opened(streams, 1)
    write_all(streams)
    streams.cancel(stream)
    assert bytes(streams.out) == frame(wire.RST_STREAM, 0, 1, wire.word(wire.CANCEL))
    assert streams.is_open


def test_an_answer_before_the_whole_request_was_written_counts(streams):
    """Such as 413: the rest of the body is not written."""
    stream = streams.open("large", b"head", b"x" * 100_000)
    write_all(streams)
    assert stream.unsent
    streams.receive(frame(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, 1, b"\x08\x03413"))
    [(call, answer)] = streams.ended
    assert isinstance(answer, HttpResponse)
    assert (call, answer.status) == ("large", 413)
    streams.receive(frame(wire.WINDOW_UPDATE, 0, 0, wire.word(200_000)))
    assert bytes(streams.out) == frame(wire.RST_STREAM, 0, 1, wire.word(wire.CANCEL))


def test_a_window_that_is_made_smaller_holds_back_the_rest(streams):
    stream = streams.open("call", b"head", b"x" * 70_000)
    write_all(streams)
    assert len(stream.unsent) == 70_000 - wire.WINDOW_BYTES
    streams.receive(frame(wire.SETTINGS, 0, 0, wire.SETTING.pack(wire.INITIAL_WINDOW, 10)))
    streams.receive(frame(wire.WINDOW_UPDATE, 0, 0, wire.word(100_000)))
    streams.receive(frame(wire.WINDOW_UPDATE, 0, 1, wire.word(wire.WINDOW_BYTES)))
    assert len(stream.unsent) == 70_000 - wire.WINDOW_BYTES - 10


def test_a_body_that_does_not_fit_waits_unless_nothing_else_is_under_way(streams):
    streams.receive(frame(wire.SETTINGS, 0, 0, wire.SETTING.pack(wire.INITIAL_WINDOW, 100)))
    assert streams.has_room(150)
    opened(streams, 1)
    assert streams.has_room(100)
    assert not streams.has_room(101)


def test_the_server_may_send_more_when_much_has_come(streams):
    """Also of streams that are over."""
    opened(streams, 1)
    write_all(streams)
    piece = frame(wire.DATA, 0, 1, b"x" * wire.FRAME_BYTES)
    streams.receive(frame(wire.HEADERS, wire.END_HEADERS, 1, b"\x88") + piece * 600)
    assert ended(streams) == {0: True}
    assert frame(wire.WINDOW_UPDATE, 0, 0, wire.word(2**23)) in bytes(streams.out)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_frames_may_come_in_pieces_of_any_size(streams, size):
    opened(streams, 2)
    write_all(streams)
    data = HEAD + frame(wire.GOAWAY, 0, 0, wire.word(1) + wire.word(0) + b"bye")
    for at in range(0, len(data), size):
        streams.receive(data[at : at + size])
    assert ended(streams) == {0: 200, 1: False}
    assert streams.last_words == "the server closed the connection (GOAWAY NO_ERROR: bye)"


@pytest.mark.parametrize(
    "data",
    [
        frame(wire.SETTINGS, 0, 0, b"12345"),
        frame(wire.SETTINGS, 0, 1, b""),
        frame(wire.SETTINGS, 0, 0, wire.SETTING.pack(wire.INITIAL_WINDOW, 2**31)),
        frame(wire.SETTINGS, 0, 0, wire.SETTING.pack(wire.MAX_FRAME, 100)),
        frame(wire.WINDOW_UPDATE, 0, 0, wire.word(0)),
        frame(wire.WINDOW_UPDATE, 0, 0, wire.word(2**31 - 1)),
        frame(wire.WINDOW_UPDATE, 0, 0, b"123"),
        frame(wire.PING, 0, 0, b"1234"),
        frame(wire.GOAWAY, 0, 0, b"1234"),
        frame(wire.RST_STREAM, 0, 1, b"12"),
        frame(wire.RST_STREAM, 0, 3, wire.word(0)),
        frame(wire.RST_STREAM, 0, 2, wire.word(0)),
        frame(wire.DATA, 0x8, 1, b""),
        frame(wire.DATA, 0x8, 1, b"\x05abc"),
        frame(wire.DATA, 0, 1, b"x" * (wire.FRAME_BYTES + 1)),
        frame(wire.CONTINUATION, wire.END_HEADERS, 1, b"\x88"),
        frame(wire.HEADERS, 0, 1, b"\x88") + frame(wire.PING, 0, 0, b"12345678"),
        frame(wire.HEADERS, 0, 1, b"\x88") + frame(wire.CONTINUATION, wire.END_HEADERS, 3, b""),
        frame(wire.PUSH_PROMISE, wire.END_HEADERS, 1, wire.word(2) + b"\x88"),
    ],
)
def test_what_is_not_http2_ends_the_connection(streams, data):
    opened(streams, 1)
    with pytest.raises(wire.ProtocolError):
        streams.receive(data)


def test_frames_of_an_unknown_kind_are_read_past(streams):
    opened(streams, 1)
    streams.receive(frame(0xC, 0, 0, b"ALTSVC") + frame(2, 0, 1, b"12345") + HEAD)
    assert ended(streams) == {0: 200}


def test_nothing_is_written_before_the_servers_settings():
    streams = Streams()
    assert not streams.has_room(1)
    with pytest.raises(wire.ProtocolError, match="no SETTINGS at first"):
        streams.receive(frame(wire.PING, 0, 0, b"12345678"))
