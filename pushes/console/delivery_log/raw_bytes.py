"""Show raw bytes as the value that they hold, as text, and as hexadecimal digits."""

import codecs
import json
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from pushes.inbound import payload
from pushes.text import characters, notes

MAX_SHOWN = 16_384
HEX_WIDTH = 16


@dataclass(frozen=True, slots=True)
class Readable:
    """`format` says how the bytes were understood; `value` is "" if the bytes hold no whole value."""

    format: str
    value: str
    text: str
    dump: str
    size: int
    is_cut: bool


def readable(raw: bytes) -> Readable:
    """Describe the bytes. Never raises."""
    shown = raw[:MAX_SHOWN]
    format_, value = _value(raw)
    return Readable(
        format_, characters.shorten(value, MAX_SHOWN), _text(shown), _dump(shown), len(raw), len(raw) > len(shown)
    )


def whole_value(raw: bytes) -> str:
    """The value of the bytes as JSON; "" if the bytes hold none. A correction starts from this text."""
    return _value(raw)[1]


def beginning(raw: bytes, most: int) -> str:
    """The first `most` bytes as text, cut between characters."""
    text = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode(raw[:most])
    return text if len(raw) <= most else characters.shorten(f"{text} ", len(text))


def _value(raw: bytes) -> tuple[str, str]:
    try:
        fields = payload.parse(raw)
    except payload.PayloadError as error:
        return _("unreadable: %(detail)s") % {"detail": notes.words(error.detail)}, ""
    name = "JSON" if raw.lstrip()[:1] in (b"{", b"[") else "PHP serialize()"
    return name, _pretty(fields)


def _pretty(fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False, indent=2, default=str)


def _text(raw: bytes) -> str:
    r"""Decode text as text, and every other byte as \xNN; show control characters."""
    text = raw.decode("utf-8", errors="backslashreplace")
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def _dump(raw: bytes) -> str:
    return "\n".join(_dump_line(at, raw[at : at + HEX_WIDTH]) for at in range(0, len(raw), HEX_WIDTH))


def _dump_line(at: int, part: bytes) -> str:
    shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
    return f"{at:06x}  {part.hex(' '):<{HEX_WIDTH * 3 - 1}}  {shown}"
