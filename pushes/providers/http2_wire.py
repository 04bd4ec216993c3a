"""HTTP/2 as it is written: frames, their kinds and flags, and the names of errors."""

import struct

import hpack

_HEAD = struct.Struct(">HBBBL")
HEAD_BYTES = 9
SETTING = struct.Struct(">HL")
DATA, HEADERS, _PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
_PADDED = 0x8
_WITH_PRIORITY = 0x20
ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME = 2, 3, 4, 5
REFUSED_STREAM, CANCEL = 0x7, 0x8
_ERROR_NAMES = (
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR",
    "REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED",
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: Of streams and of windows.
MAX_NUMBER = 2**31 - 1
#: The largest frame that nobody has to allow, and the window that everybody has at first.
FRAME_BYTES = 16_384
WINDOW_BYTES = 65_535
_MAX_HEAD_BYTES = 65_536

Fields = list[tuple[str, str]]


class ProtocolError(Exception):
    """The server does not speak HTTP/2, or not correctly."""


def frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, number) + payload


def head_at(buffer: bytes, at: int) -> tuple[int, int, int, int]:
    """Return size, kind, flags and stream of the frame that begins there."""
    high, low, kind, flags, number = _HEAD.unpack_from(buffer, at)
    return high << 8 | low, kind, flags, number & MAX_NUMBER


def word(number: int) -> bytes:
    return number.to_bytes(4, "big")


def word_of(payload: bytes) -> int:
    if len(payload) != 4:
        raise ProtocolError("a frame of another size")
    return int.from_bytes(payload, "big")


def unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ProtocolError("more padding than there is")
    return payload[1 : len(payload) - payload[0]]


def error_name(code: int) -> str:
    names = " ".join(_ERROR_NAMES).split()
    return names[code] if code < len(names) else f"error {code}"


class HeadReader:
    """Puts the pieces of a head together, and reads them in the order in which they came: each head refers to the ones
    before it."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=_MAX_HEAD_BYTES)
        self._begun: tuple[int, bool, bytearray] | None = None

    @property
    def is_within(self) -> bool:
        """Whether the next frame must continue a head."""
        return self._begun is not None

    def begin(self, flags: int, number: int, payload: bytes) -> Fields | None:
        """Take a HEADERS frame; returns the fields if it holds them all."""
        payload = unpadded(flags, payload)
        block = bytearray(payload[5:] if flags & _WITH_PRIORITY else payload)
        return self._read_or_wait(flags, number, bool(flags & END_STREAM), block)

    def go_on(self, flags: int, number: int, payload: bytes) -> tuple[bool, Fields | None]:
        """Take a CONTINUATION; returns whether the head ends its stream, and the fields if they are complete."""
        assert self._begun is not None
        expected, is_last, block = self._begun
        block += payload
        if number != expected or len(block) > _MAX_HEAD_BYTES:
            raise ProtocolError("a head of another stream, or without an end")
        return is_last, self._read_or_wait(flags, number, is_last, block)

    def _read_or_wait(self, flags: int, number: int, is_last: bool, block: bytearray) -> Fields | None:
        if not flags & END_HEADERS:
            self._begun = number, is_last, block
            return None
        self._begun = None
        try:
            fields = self._decoder.decode(bytes(block), raw=True)
        except hpack.HPACKError as error:
            raise ProtocolError(f"a head that cannot be read ({type(error).__name__})") from None
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
