"""The error codes of FCM HTTP v1 and of Google's token exchange, and what each means for the caller.

`INVALID_ARGUMENT` means two things, so the details decide (see `meaning_of_argument`).
"""

from collections.abc import Sequence

from pushes.providers.meanings import (
    BAD_CERTIFICATE,
    BAD_CREDENTIALS,
    BAD_MESSAGE,
    BAD_TOKEN,
    BUSY,
    SERVER_ERROR,
    THROTTLED,
    WRONG_CLOCK,
    Meaning,
)
from pushes.values import Scope

INVALID_ARGUMENT, QUOTA_EXCEEDED = "INVALID_ARGUMENT", "QUOTA_EXCEEDED"
#: The name of the field that a wrong device token is.
TOKEN_FIELD = "message.token"
#: The words about a wrong device token, in answers that name no field.
TOKEN_WORDS = "registration token"
#: Google asks for at least this long after a quota is used up.
QUOTA_SECONDS = 60.0

MEANINGS: dict[str, Meaning] = {
    "UNREGISTERED": BAD_TOKEN,
    # Under a key of another project every token is answered so: believed only while others are accepted.
    "SENDER_ID_MISMATCH": BAD_TOKEN,
    # Of the APNs key, or of the web push keys, that Firebase keeps for the app.
    "THIRD_PARTY_AUTH_ERROR": BAD_CERTIFICATE,
    "APNS_AUTH_ERROR": BAD_CERTIFICATE,
    QUOTA_EXCEEDED: THROTTLED,
    "UNAVAILABLE": BUSY,
    # Nothing says whether the push was taken.
    "INTERNAL": SERVER_ERROR,
}
#: One device got too many pushes; the key goes on.
DEVICE_THROTTLED = THROTTLED._replace(scope=Scope.TARGET)
_OF_A_SERVER = frozenset({"UNAVAILABLE", "INTERNAL"})
#: The error codes of the token exchange. Of any other, its status tells.
OF_EXCHANGE: dict[str, Meaning] = {
    "invalid_grant": BAD_CREDENTIALS,
    "invalid_client": BAD_CREDENTIALS,
    "invalid_scope": BAD_CREDENTIALS,
    "unauthorized_client": BAD_CREDENTIALS,
    "disabled_client": BAD_CREDENTIALS,
    "deleted_client": BAD_CREDENTIALS,
    "access_denied": BAD_CREDENTIALS,
}
#: The words about a request whose times are not Google's.
_CLOCK_WORDS = ("timeframe", "short-lived")
#: Wrong about this device alone, as far as we know: no other delivery of the message is stopped for it.
_WRONG_CALL = BAD_MESSAGE._replace(scope=Scope.TARGET)


def meaning(http_status: int, code: str) -> Meaning | None:
    """Return what a code means; None when the status alone says what there is to know."""
    fits = http_status >= 500 if code in _OF_A_SERVER else 400 <= http_status < 500
    return MEANINGS.get(code) if fits else None


def meaning_of_argument(fields: Sequence[str], *, is_of_fcm: bool, text: str) -> Meaning:
    """Return what INVALID_ARGUMENT means. `fields` are those that the answer finds wrong; `is_of_fcm` tells that FCM's
    own detail was in it, and not only the parser's of the message."""
    if fields:
        return BAD_TOKEN if set(fields) == {TOKEN_FIELD} else BAD_MESSAGE
    if not is_of_fcm:
        return BAD_MESSAGE
    return BAD_TOKEN if TOKEN_WORDS in text.lower() else _WRONG_CALL


def meaning_of_exchange(code: str, text: str) -> Meaning | None:
    """Return what the refusal of an access token means; None when its status says what there is to know."""
    if code == "invalid_grant" and any(word in text.lower() for word in _CLOCK_WORDS):
        return WRONG_CLOCK
    return OF_EXCHANGE.get(code)
