"""The `ret_code`s of all versions of Xinge v2, and what each means for the caller."""

from pushes.names import Reason
from pushes.values import Outcome, Scope, Verdict

ACCEPTED = Outcome(Verdict.ACCEPTED, code=0)
#: The words of a signature error, in versions where -3 still means that (later: "processing failed").
SIGNATURE_WORDS = ("sign", "auth", "签名", "鉴权")

_Meaning = tuple[Verdict, Reason, Scope]
_TOKEN: _Meaning = (Verdict.BAD_TARGET, Reason.BAD_TOKEN, Scope.TARGET)
_NO_DEVICE: _Meaning = (Verdict.FAILED, Reason.NO_DEVICE, Scope.TARGET)
_PARAM: _Meaning = (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE)
_AUTH: _Meaning = (Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY)
_THROTTLE: _Meaning = (Verdict.RETRY, Reason.THROTTLED, Scope.KEY)
_BUSY: _Meaning = (Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.KEY)
_RETRY: _Meaning = (Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.TARGET)

MEANINGS: dict[int, _Meaning] = {
    -1: _PARAM,
    -2: _AUTH,  # clock
    -4: _RETRY,
    -5: _RETRY,
    2: _PARAM,
    5: _RETRY,
    6: _TOKEN,
    7: _PARAM,
    14: _TOKEN,
    15: _BUSY,
    16: _BUSY,
    19: _PARAM,
    20: _AUTH,
    21: _AUTH,
    40: _TOKEN,
    48: _NO_DEVICE,
    53: _TOKEN,
    63: _BUSY,
    71: _BUSY,
    73: _PARAM,
    75: _PARAM,
    76: _THROTTLE,
    78: _PARAM,
    83: _PARAM,
    90: _RETRY,  # the device is offline, which must not unregister it
    91: _PARAM,
    92: _PARAM,
    100: _AUTH,  # APNs certificate
    -101: _PARAM,
    -102: _AUTH,  # clock
    -103: _AUTH,
    -104: _RETRY,
    -105: _THROTTLE,
    -106: _AUTH,  # APNs certificate
    -111: _PARAM,
    -112: _PARAM,
}


def outcome(code: int, text: str) -> Outcome:
    """Return what a `ret_code` other than 0 means; undocumented codes are retried."""
    if code == -3:
        verdict, reason, scope = _AUTH if any(word in text.lower() for word in SIGNATURE_WORDS) else _RETRY
    else:
        verdict, reason, scope = MEANINGS.get(code, _RETRY)
    return Outcome(verdict, reason, scope, code, text)


def unreadable() -> Outcome:
    """Return the outcome of a JSON answer without a `ret_code`."""
    return Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER, text="the answer has no ret_code")
