"""What an HTTP answer, or the lack of one, means before the provider's own codes are looked at."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from pushes import exact_json
from pushes.names import Reason
from pushes.providers.base import Answer, HttpResponse, TransportFailure
from pushes.values import Outcome, Scope, Verdict

MOST_TEXT = 200
#: The longest pause that a provider may ask for; more is taken for a mistake.
MOST_RETRY_AFTER_SECONDS = 3600.0


def parse(answer: Answer) -> Mapping[str, Any] | Outcome:
    """The JSON object of a successful answer, or what became of the call without one.

    A request that never left is to be tried again. For one that left, only an answer tells: without it,
    after a gateway's 500, 502 or 504, and after a 200 that says nothing readable, the push may have happened.
    """
    if isinstance(answer, TransportFailure):
        return _without_answer(answer)
    if not 200 <= answer.status < 300:
        return _refused(answer)
    try:
        parsed = exact_json.loads(answer.body)
    except exact_json.JsonError:
        parsed = None
    if not isinstance(parsed, dict):
        return Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER, text=f"HTTP {answer.status} without a readable answer")
    return parsed


def code_of(value: object) -> int | None:
    """A provider's own code; None for what is none: no whole number, or one of more than 32 bits."""
    return value if type(value) is int and abs(value) < 2**31 else None


def shorten(text: object) -> str:
    return str(text)[:MOST_TEXT]


def _without_answer(failure: TransportFailure) -> Outcome:
    if failure.was_sent:
        return Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER, text=shorten(failure.text))
    return Outcome(Verdict.RETRY, Reason.UNREACHABLE, Scope.KEY, text=shorten(failure.text))


def _refused(answer: HttpResponse) -> Outcome:
    status = answer.status
    text = f"HTTP {status} {_phrase(status)}".strip()
    if status in (429, 503):
        reason = Reason.THROTTLED if status == 429 else Reason.PROVIDER_BUSY
        return Outcome(Verdict.RETRY, reason, Scope.KEY, status, text, retry_after_seconds=retry_after(answer.headers))
    if status >= 500:
        return Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET, status, text)
    if status in (408, 425):  # the server says that it did not take the request
        return Outcome(Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.TARGET, status, text)
    if status in (401, 403, 404, 405, 410) or status < 400:
        # Whoever answers so (or redirects) is not the endpoint of this key; every push would end like this one.
        return Outcome(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, status, text)
    return Outcome(Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE, status, text)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """The seconds that a Retry-After header asks for, as a number or as a date (counted from the answer's own date, so
    that our clock does not matter); None without a usable one."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        seconds = float(value)
    else:
        try:
            sent_at = _date(headers.get("date", "")) or (time.time() if now is None else now)
            seconds = parsedate_to_datetime(value).timestamp() - sent_at
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MOST_RETRY_AFTER_SECONDS)


def _date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
