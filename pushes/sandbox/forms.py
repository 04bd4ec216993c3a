"""Decode percent-encoded forms at C speed."""

import binascii
from urllib.parse import unquote_to_bytes


def parse(data: bytes) -> dict[str, str]:
    """Map names to values; of a repeated name the last value counts. Raises UnicodeDecodeError for bytes that are not
    UTF-8."""
    params: dict[str, str] = {}
    for pair in data.split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            params[decode(name)] = decode(value)
    return params


def decode(value: bytes) -> str:
    """Decode one encoded name or value; `+` is a space."""
    if b"+" in value:
        value = value.replace(b"+", b" ")
    if b"%" not in value:
        return value.decode()
    escapes = value.count(b"%")
    if b"=" not in value and b"\n" not in value and b"\r" not in value:
        # Quoted-printable is the same encoding with another sign, and the standard library decodes it in C.
        decoded = binascii.a2b_qp(value.replace(b"%", b"="))
        if len(decoded) == len(value) - 2 * escapes:
            return decoded.decode()
    return unquote_to_bytes(value).decode()  # a stray sign somewhere
