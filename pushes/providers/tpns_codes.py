"""The `ret_code`s of TPNS and what each means for the caller."""

from pushes.providers.meanings import (
    ACCEPTED,
    APP_CLOSED,
    BAD_CERTIFICATE,
    BAD_CREDENTIALS,
    BAD_MESSAGE,
    BAD_TOKEN,
    NO_DEVICE,
    THROTTLED,
    TRY_AGAIN,
    Meaning,
)

MEANINGS: dict[int, Meaning] = {
    0: ACCEPTED,
    1008001: BAD_MESSAGE,
    1008002: BAD_MESSAGE,
    1008003: BAD_CREDENTIALS,
    1008004: TRY_AGAIN,
    1008006: BAD_TOKEN,
    1008007: BAD_MESSAGE,
    1008011: TRY_AGAIN,
    1008012: BAD_MESSAGE,
    1008013: BAD_CERTIFICATE,
    1008015: BAD_MESSAGE,
    1008016: BAD_MESSAGE,
    1008019: BAD_MESSAGE,
    1008020: BAD_CERTIFICATE,
    1008021: BAD_CERTIFICATE,
    1008022: BAD_CERTIFICATE,
    1008023: BAD_CERTIFICATE,
    1008026: ACCEPTED,  # a list of which a part failed
    1008027: TRY_AGAIN,
    1008028: THROTTLED,
    1008029: BAD_TOKEN,
    1008030: APP_CLOSED,  # the app is not paid for
    1008031: APP_CLOSED,  # expired or destroyed
    1008035: BAD_CREDENTIALS,  # wrong access id or access point
    1010001: APP_CLOSED,  # no resources
    10010005: NO_DEVICE,  # not known as a token's error for sure, so no token is dropped for it
    10010012: BAD_MESSAGE,
    10010018: ACCEPTED,  # the same push again: it is done already
    10030002: BAD_CREDENTIALS,
    10110008: NO_DEVICE,
}
#: A list of which no token was pushed to, without a word why: asked one by one, each says it.
LIST_FAILED = 1008027


def meaning(code: int) -> Meaning:
    """What a `ret_code` means; codes that nobody documented are tried again."""
    return MEANINGS.get(code, TRY_AGAIN)
