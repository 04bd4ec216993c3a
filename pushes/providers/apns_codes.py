"""The reasons of APNs, and what each means for the caller. The statuses that come with them say the same of all others.

Tagged as from memory in our sheet on APNs, so one row each: `TOO_MANY_TO_TOKEN_SECONDS`, and that `BadPath` and
`MissingDeviceToken` come from a strange token.
"""

from pushes.providers.meanings import (
    BAD_CREDENTIALS,
    BAD_MESSAGE,
    BAD_TOKEN,
    BUSY,
    SERVER_ERROR,
    THROTTLED,
    TRY_AGAIN,
    WRONG_CLOCK,
    Meaning,
)
from pushes.values import Scope

#: The call's token is older than an hour by Apple's clock: ours is wrong, unless a new token is accepted.
STALE = "ExpiredProviderToken"
#: What a token that belongs to nobody is answered with.
UNASSIGNED = frozenset({"BadDeviceToken", "Unregistered", "ExpiredToken"})
#: For how long APNs wants no new token of the key.
TOKEN_UPDATE_SECONDS = 1200.0
#: How long a device is left alone that gets too many pushes.
TOO_MANY_TO_TOKEN_SECONDS = 60.0

#: Wrong about this device alone: no other delivery of the message is stopped for it.
_BAD_CALL = BAD_MESSAGE._replace(scope=Scope.TARGET)

MEANINGS: dict[str, Meaning] = {
    # A key of the wrong environment gets the first for every token, one of the wrong app the second.
    "BadDeviceToken": BAD_TOKEN,
    "DeviceTokenNotForTopic": BAD_TOKEN,
    "Unregistered": BAD_TOKEN,
    "ExpiredToken": BAD_TOKEN,
    "BadCollapseId": BAD_MESSAGE,
    "BadExpirationDate": BAD_MESSAGE,
    "BadMessageId": BAD_MESSAGE,
    "BadPriority": BAD_MESSAGE,
    "DuplicateHeaders": BAD_MESSAGE,
    "InvalidPushType": BAD_MESSAGE,
    "PayloadEmpty": BAD_MESSAGE,
    "PayloadTooLarge": BAD_MESSAGE,
    "MethodNotAllowed": BAD_MESSAGE,
    "BadPath": _BAD_CALL,
    "MissingDeviceToken": _BAD_CALL,
    "IdleTimeout": TRY_AGAIN,
    "BadTopic": BAD_CREDENTIALS,
    "MissingTopic": BAD_CREDENTIALS,
    "TopicDisallowed": BAD_CREDENTIALS,
    "BadCertificate": BAD_CREDENTIALS,
    "BadCertificateEnvironment": BAD_CREDENTIALS,
    "BadEnvironmentKeyIdInToken": BAD_CREDENTIALS,
    "Forbidden": BAD_CREDENTIALS,
    "InvalidProviderToken": BAD_CREDENTIALS,
    "MissingProviderToken": BAD_CREDENTIALS,
    "UnrelatedKeyIdInToken": BAD_CREDENTIALS,
    STALE: WRONG_CLOCK,
    "TooManyProviderTokenUpdates": THROTTLED,
    "TooManyRequests": THROTTLED._replace(scope=Scope.TARGET),
    # Nothing says whether the push was stored.
    "InternalServerError": SERVER_ERROR,
    "ServiceUnavailable": BUSY,
    "Shutdown": BUSY,
}
#: How long to wait after each.
PAUSES = {
    "TooManyProviderTokenUpdates": TOKEN_UPDATE_SECONDS,
    "TooManyRequests": TOO_MANY_TO_TOKEN_SECONDS,
}
_OF_A_SERVER = frozenset({"InternalServerError", "ServiceUnavailable", "Shutdown"})


def meaning(http_status: int, reason: str) -> Meaning | None:
    """Return what a reason means; None when the status alone says what there is to know, as of an unknown reason."""
    fits = http_status >= 500 if reason in _OF_A_SERVER else 400 <= http_status < 500
    return MEANINGS.get(reason) if fits else None
