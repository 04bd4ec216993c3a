"""Normalise device tokens, by their issuer. Every entry point does this before it stores or compares a token.

APNs tokens are bytes in hexadecimal: both letter cases, and Xcode's `<0a0b0c0d 0e0f…>`, are the same token. Every
other token is case-sensitive text.
"""

import re

from pushes.names import Platform

MIN_TOKEN, MAX_TOKEN = 8, 128
#: APNs tokens have 32 bytes today and may grow. TPNS issues its own tokens of 36 characters for iPhones.
MIN_APNS_DIGITS = 64
TPNS_LENGTH = 36
_HEX = frozenset("0123456789abcdefABCDEF")
_XCODE = str.maketrans("", "", "<> \t\r\n\u00a0")
_MIN_BEGINNING = 4
#: What programs write when they have no token.
_NOTHING = frozenset(
    (
        *("undefined", "null", "nil", "none", "nan", "false", "true", "empty", "unknown", "n/a", "#n/a"),
        *("(null)", "<null>", "(nil)", "<nil>", "optional(nil)", "optional(null)", "(none)", "<none>"),
        *("[objectobject]", "objectobject", "devicetoken", "device_token", "notavailable", "not_available"),
    )
)
_STRANGE = frozenset("<>()[]{}\"'`\\,;")


class InvalidTokenError(ValueError):
    """Why a text is not a valid device token; the message never contains the text."""


def spelled(token: str, platform: str) -> str:
    """Return `token` as it is stored for a device of this platform. Raises InvalidTokenError."""
    bare = token.strip()
    if not bare:
        raise InvalidTokenError("it is empty")
    if "".join(bare.lower().split()) in _NOTHING:
        raise InvalidTokenError("it is what a program writes where it has no token")
    return _of_apple(bare) if platform == Platform.IOS else _of_others(bare)


def _of_apple(bare: str) -> str:
    digits = _apns(bare)
    if MIN_APNS_DIGITS <= len(digits) <= MAX_TOKEN and len(digits) % 2 == 0:
        return digits
    if len(bare) == TPNS_LENGTH and bare.isascii() and bare.isalnum():
        return bare
    found = f"{len(digits)} of them" if digits else "other characters"
    raise InvalidTokenError(
        f"an iPhone's token has {MIN_APNS_DIGITS} to {MAX_TOKEN} hexadecimal digits, two for each byte; "
        f"this one has {found}"
    )


def _of_others(bare: str) -> str:
    if not MIN_TOKEN <= len(bare) <= MAX_TOKEN:
        raise InvalidTokenError(f"a device token has {MIN_TOKEN} to {MAX_TOKEN} characters")
    if not (bare.isascii() and bare.isprintable() and " " not in bare):
        raise InvalidTokenError("only visible ASCII characters, without blanks in between")
    if strange := sorted(_STRANGE.intersection(bare)):
        raise InvalidTokenError(f"a device token has no {' '.join(strange)} in it")
    return bare


def stored(token: str, platform: str) -> str:
    """Return the normalised form of a token that is already stored, valid or not, for comparing."""
    return (_apns(token) or token) if platform == Platform.IOS else token


def apple(text: str) -> str:
    """Return the stored form of an iPhone's token or of its beginning; "" when it cannot be one."""
    digits = _apns(text)
    return digits if len(digits) >= _MIN_BEGINNING else ""


def words(text: str) -> list[str]:
    """Return the names in a text, separated by commas, semicolons or spaces; `<…>` is one name."""
    return [
        "".join(match[1].split()) if match[1] is not None else match[0]
        for match in re.finditer(r"<([0-9a-fA-F\s]+)>|[^\s,;，；]+", text)
    ]


def _apns(text: str) -> str:
    digits = text.translate(_XCODE)
    return digits.lower() if digits and _HEX.issuperset(digits) else ""
