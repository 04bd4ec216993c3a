"""Normalise device tokens, by their issuer (the channel), and the installation ids beside them. Every entry point does
this before it stores or compares one.

APNs tokens are bytes in hexadecimal: both letter cases, and Xcode's `<0a0b0c0d 0e0f…>`, are the same token. Every
other token is case-sensitive text.
"""

import re

from pushes.names import DEFAULT_CHANNEL, MAX_INSTALLATION, MAX_TOKEN, Channel, Platform

MIN_TOKEN, MIN_INSTALLATION = 8, 8
#: APNs tokens have 32 bytes today and may grow. TPNS issues its own tokens of 36 characters for iPhones.
MIN_APNS_DIGITS = 64
#: On iOS, the tokens of these channels are APNs tokens; the others issue ids of their own.
_OF_APPLE = frozenset({Channel.XINGE, Channel.TPNS, Channel.APNS})
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
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class InvalidTokenError(ValueError):
    """Why a text is not a valid device token; the message never contains the text."""


def spelled(token: str, platform: str, channel: str = DEFAULT_CHANNEL) -> str:
    """Return `token` as it is stored for a device of this platform and channel. Raises InvalidTokenError."""
    bare = token.strip()
    if not bare:
        raise InvalidTokenError("it is empty")
    if "".join(bare.lower().split()) in _NOTHING:
        raise InvalidTokenError("it is what a program writes where it has no token")
    if platform != Platform.IOS or channel not in _OF_APPLE:
        return _of_others(bare)
    return _of_apple(bare, channel)


def _of_apple(bare: str, channel: str) -> str:
    digits = _apns(bare)
    if MIN_APNS_DIGITS <= len(digits) <= MAX_TOKEN and len(digits) % 2 == 0:
        return digits
    if channel != Channel.APNS and len(bare) == TPNS_LENGTH and bare.isascii() and bare.isalnum():
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


def stored(token: str, platform: str, channel: str = DEFAULT_CHANNEL) -> str:
    """Return the normalised form of a token that is already stored, valid or not, for comparing."""
    return (_apns(token) or token) if platform == Platform.IOS and channel in _OF_APPLE else token


def installation(text: str) -> str:
    """Return an installation's id as it is stored; "" for none. Raises InvalidTokenError.

    The id must be the phone's own: with an id that many phones share, each would take the pushes of the others.
    """
    bare = text.strip()
    if not bare:
        return ""
    if not MIN_INSTALLATION <= len(bare) <= MAX_INSTALLATION:
        raise InvalidTokenError(f"an installation id has {MIN_INSTALLATION} to {MAX_INSTALLATION} characters")
    if not (bare.isascii() and bare.isprintable() and " " not in bare) or _STRANGE.intersection(bare):
        raise InvalidTokenError("only visible ASCII characters, without blanks, quotes, brackets, commas or semicolons")
    if bare.lower() in _NOTHING or len(set(bare) - {"-"}) < 2:
        raise InvalidTokenError("it is what a program writes where it knows none")
    return bare.lower() if _UUID.fullmatch(bare) else bare


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
