"""The `ret_code`s of TPNS and what each means for the caller."""

from pushes.names import Reason
from pushes.values import Outcome, Scope, Verdict

_Meaning = tuple[Verdict, Reason | None, Scope]
_ACCEPTED: _Meaning = (Verdict.ACCEPTED, None, Scope.TARGET)
_TOKEN: _Meaning = (Verdict.BAD_TARGET, Reason.BAD_TOKEN, Scope.TARGET)
_NO_DEVICE: _Meaning = (Verdict.FAILED, Reason.NO_DEVICE, Scope.TARGET)
_PARAM: _Meaning = (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE)
_AUTH: _Meaning = (Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY)
_THROTTLE: _Meaning = (Verdict.RETRY, Reason.THROTTLED, Scope.KEY)
_RETRY: _Meaning = (Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.TARGET)

MEANINGS: dict[int, _Meaning] = {
    0: _ACCEPTED,
    1008001: _PARAM,
    1008002: _PARAM,
    1008003: _AUTH,
    1008004: _RETRY,
    1008006: _TOKEN,
    1008007: _PARAM,
    1008011: _RETRY,
    1008012: _PARAM,
    1008013: _AUTH,  # certificate
    1008015: _PARAM,
    1008016: _PARAM,
    1008019: _PARAM,
    1008020: _AUTH,  # 20 to 23: certificate
    1008021: _AUTH,
    1008022: _AUTH,
    1008023: _AUTH,
    1008026: _ACCEPTED,  # a list that failed in part
    1008027: _RETRY,
    1008028: _THROTTLE,
    1008029: _TOKEN,
    1008030: _AUTH,  # the app is not paid for
    1008031: _AUTH,  # expired or destroyed
    1008035: _AUTH,  # wrong access id or access point
    1010001: _AUTH,  # no resources
    10010005: _NO_DEVICE,  # not certainly an error of the token, so no token is dropped for it
    10010012: _PARAM,
    10010018: _ACCEPTED,  # the same push again: already done
    10030002: _AUTH,
    10110008: _NO_DEVICE,
}
#: A list of which no token was pushed to, without a reason: single calls tell the reason for each.
LIST_FAILED = 1008027


def outcome(code: int, text: str, push_id: str, bad_tokens: tuple[str, ...]) -> Outcome:
    """Return what a `ret_code` means; undocumented codes are retried."""
    verdict, reason, scope = MEANINGS.get(code, _RETRY)
    return Outcome(verdict, reason, scope, code, text, push_id, bad_tokens=bad_tokens)
