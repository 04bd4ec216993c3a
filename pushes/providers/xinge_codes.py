"""The `ret_code`s of Xinge v2, of every era of the service, and what each means for the caller."""

from pushes.providers.meanings import (
    ACCEPTED,
    BAD_CERTIFICATE,
    BAD_CREDENTIALS,
    BAD_MESSAGE,
    BAD_TOKEN,
    BUSY,
    NO_DEVICE,
    THROTTLED,
    TRY_AGAIN,
    WRONG_CLOCK,
    Meaning,
)

#: How a signature error is worded where -3 still means that (it later meant "processing failed").
SIGNATURE_WORDS = ("sign", "auth", "签名", "鉴权")

MEANINGS: dict[int, Meaning] = {
    0: ACCEPTED,
    -1: BAD_MESSAGE,
    -2: WRONG_CLOCK,
    -4: TRY_AGAIN,
    -5: TRY_AGAIN,
    2: BAD_MESSAGE,
    5: TRY_AGAIN,
    6: BAD_TOKEN,
    7: BAD_MESSAGE,
    14: BAD_TOKEN,
    15: BUSY,
    16: BUSY,
    19: BAD_MESSAGE,
    20: BAD_CREDENTIALS,
    21: BAD_CREDENTIALS,
    40: BAD_TOKEN,
    48: NO_DEVICE,
    53: BAD_TOKEN,
    63: BUSY,
    71: BUSY,
    73: BAD_MESSAGE,
    75: BAD_MESSAGE,
    76: THROTTLED,
    78: BAD_MESSAGE,
    83: BAD_MESSAGE,
    90: TRY_AGAIN,  # the device is offline, and must not be unregistered for it
    91: BAD_MESSAGE,
    92: BAD_MESSAGE,
    100: BAD_CERTIFICATE,
    -101: BAD_MESSAGE,
    -102: WRONG_CLOCK,
    -103: BAD_CREDENTIALS,
    -104: TRY_AGAIN,
    -105: THROTTLED,
    -106: BAD_CERTIFICATE,
    -111: BAD_MESSAGE,
    -112: BAD_MESSAGE,
}


def meaning(code: int, text: str) -> Meaning:
    """What a `ret_code` means; codes that nobody documented are tried again."""
    if code == -3:
        return BAD_CREDENTIALS if any(word in text.lower() for word in SIGNATURE_WORDS) else TRY_AGAIN
    return MEANINGS.get(code, TRY_AGAIN)
