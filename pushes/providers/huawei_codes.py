"""The codes of Huawei Push Kit, v1 and v3, and what each means for the caller."""

from pushes.providers.meanings import (
    ACCEPTED,
    APP_CLOSED,
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

#: Some tokens of a list were left out; the message names them.
PARTLY = "80100000"
#: No token was taken. The message of v3 names causes.
NO_VALID_TOKEN = "80300007"
#: The access token of the call is too old.
STALE = frozenset({"80200003", "80200005"})

#: A refusal that is the message's fault under this key, and not another key's of the same app.
BAD_FOR_TARGET = BAD_MESSAGE._replace(scope=BAD_TOKEN.scope)

MEANINGS: dict[str, Meaning] = {
    "80000000": ACCEPTED,
    PARTLY: ACCEPTED,
    "80100001": BAD_MESSAGE,
    "80100003": BAD_MESSAGE,
    "80100004": BAD_MESSAGE,  # it would have expired already
    "80100013": BAD_MESSAGE,
    "80100016": BAD_MESSAGE,  # its words are not allowed
    "80100017": BUSY,  # too many tasks at once
    "80100018": BAD_MESSAGE,
    "80100022": BAD_MESSAGE,  # its picture was not examined before
    "80200001": BAD_CREDENTIALS,
    "80200003": BAD_CREDENTIALS,  # still too old after it was renewed
    "80200005": WRONG_CLOCK,  # we make this one ourselves: it is new, so a clock is wrong
    "80300002": APP_CLOSED,  # push is not enabled for the app, or the token is of another project
    NO_VALID_TOKEN: BAD_TOKEN,
    "80300008": BAD_MESSAGE,  # too large
    "80300010": BAD_MESSAGE,  # too many tokens
    "80300011": APP_CLOSED,  # no right for urgent messages
    "80300029": THROTTLED,  # too many test messages today
    "80300030": BAD_MESSAGE,  # too many tokens for a test message
    "80300036": BAD_CREDENTIALS,  # our token is valid for too long
    "80300037": APP_CLOSED,  # the app is punished
    "80600003": BUSY,  # the service that gives access tokens failed
    "81000001": SERVER_ERROR,
}

#: Causes that v3 names for tokens, in the order in which they count. Of a list only the first is the token's own fault.
TOKEN_FAULT = "tokenFormatError"
CAUSES: dict[str, Meaning] = {
    TOKEN_FAULT: BAD_TOKEN,
    "tokenPlatformNotSupport": BAD_TOKEN,
    "noRightToSendThisLiveNotificationEvent": BAD_FOR_TARGET,
    "noPushTypeRight": APP_CLOSED,
    "noRight": BAD_TOKEN,  # of another project: as under a wrong key, so it is weighed as any refused token
    "disableSendHuaweiMsgBecauseOfPenalty": APP_CLOSED,
    "appinfoError": APP_CLOSED,
    "countryNotSupport": BAD_FOR_TARGET,
    "differentImgVerifyPolicy": BAD_MESSAGE,
    "atomicUnableSendUnsubscribedMsg": BAD_FOR_TARGET,
    "notSupportPlayVoice": BAD_MESSAGE,
}


def meaning(code: str, text: str) -> Meaning:
    """Return what a code means; undocumented codes are retried."""
    if code == NO_VALID_TOKEN:
        return next((found for cause, found in CAUSES.items() if cause in text), BAD_TOKEN)
    return MEANINGS.get(code, TRY_AGAIN)
