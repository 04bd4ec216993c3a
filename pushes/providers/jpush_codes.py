"""The error codes of JPush, and what each means for the caller."""

from pushes.providers.meanings import (
    BAD_CREDENTIALS,
    BAD_MESSAGE,
    BAD_TOKEN,
    THROTTLED,
    TRY_AGAIN,
    Meaning,
)

#: Nobody in the audience. Of a list it says that all are unknown, so that each is asked alone.
NOBODY = 1011
#: A parameter is not valid: of the message, or an ill-formed registration id.
INVALID = 1003
#: The words of an ill-formed registration id. From memory.
ID_WORDS = ("registration", "regid")

MEANINGS: dict[int, Meaning] = {
    1000: TRY_AGAIN,  # internal; with HTTP 500 the status counts
    1002: BAD_MESSAGE,
    INVALID: BAD_MESSAGE,
    1004: BAD_CREDENTIALS,
    1005: BAD_MESSAGE,  # too large
    1008: BAD_CREDENTIALS,  # no such app key
    NOBODY: BAD_TOKEN,  # of another app, removed, or not seen for 255 days
    1012: BAD_MESSAGE,
    1021: BAD_MESSAGE,
    1030: TRY_AGAIN,  # a time-out inside; with HTTP 503 the status counts
    2002: THROTTLED,
}


def meaning(code: int, text: str) -> Meaning:
    """Return what an error code means; undocumented codes are retried."""
    if code == INVALID and any(word in text.lower() for word in ID_WORDS):
        return BAD_TOKEN
    return MEANINGS.get(code, TRY_AGAIN)
