"""Interpret an HTTP answer, or its absence, before the provider's own codes."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from pushes.names import Reason
from pushes.providers import meanings
from pushes.providers.base import Answer, HttpResponse, TransportFailure
from pushes.providers.meanings import Meaning
from pushes.text import characters, exact_json
from pushes.values import Blame, Outcome, Scope, Verdict

MAX_TEXT = 200
#: The longest pause that a provider may ask for; more is treated as a mistake.
MAX_RETRY_AFTER_SECONDS = 3600.0

#: A server with these statuses is not the endpoint of the key; every push would end the same way.
NOT_THE_ENDPOINT = frozenset({*range(100, 200), *range(300, 400), 404, 405, 410})
#: The key is not good enough for a server that answers so, for this push and every other.
UNAUTHORISED = frozenset({401, 403})
#: The server says that it did not process the request.
NOT_TAKEN = frozenset({408, 425})
#: For these only the status counts, whatever the body says.
STATUS_COUNTS = NOT_THE_ENDPOINT | UNAUTHORISED | NOT_TAKEN | {429}
#: How much of an answer is shown: no more than the column holds, without the markup of a proxy's error page.
_TAG = re.compile(r"</?[A-Za-z!?][^<>]*>?")
#: No longer than the column.
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_PUSH_ID = re.compile(r"[\w.:+/=%-]*", re.ASCII)


class Said(NamedTuple):
    """An answer that the provider's own code explains: the status it came with, and its JSON object."""

    http_status: int
    fields: Mapping[str, Any]


def parse(answer: Answer, codes: Sequence[str] = (), words: Sequence[str] = (), *, within: str = "") -> Said | Outcome:
    """The JSON object of an answer that the provider's own code explains, or what became of the call without one.

    `codes` and `words` are the provider's names of its code and message fields, `within` that of the object that holds
    both, if one does. A request that never left is retried. For a request that left, without a readable answer or after
    a server error, the push may have happened. `docs/providers.md` has the whole table.
    """
    if isinstance(answer, TransportFailure):
        return without_answer(answer)
    found, is_success = object_of(answer.body, within), 200 <= answer.status < 300
    if found is not None and (is_success or _explains(answer.status, found, codes)):
        return Said(answer.status, found)
    if is_success:
        return unreadable(answer.status, f"HTTP {answer.status} without a readable answer")
    return refused(answer, shorten(_first(found or {}, words)))


def fields_of(answer: Answer, *, within: str = "") -> Mapping[str, Any]:
    """Return the JSON object of an answer, whatever its status; empty without one."""
    return {} if isinstance(answer, TransportFailure) else object_of(answer.body, within) or {}


def unreadable(http_status: int, text: str) -> Outcome:
    """A success that does not say of what."""
    return meanings.NO_ANSWER.outcome(http_status, "", text)


def _explains(status: int, found: Mapping[str, Any], codes: Sequence[str]) -> bool:
    """Whether the provider's own code says more than the status, such as what was wrong with a request."""
    return 400 <= status < 500 and status not in STATUS_COUNTS and bool(code_of(_first(found, codes)))


def object_of(body: bytes, within: str = "") -> dict[str, Any] | None:
    """Return the JSON object of a body; None when it holds anything else. What the object `within` holds is told as if
    it stood beside it."""
    try:
        parsed = exact_json.loads(body)
    except exact_json.JsonError:
        return None
    if not isinstance(parsed, dict):
        return None
    inner = parsed.get(within) if within else None
    return parsed | inner if isinstance(inner, dict) else parsed


def _first(found: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the first non-empty value under one of the names."""
    return next((found[name] for name in names if found.get(name)), "")


def code_of(value: object) -> int | None:
    """Return a provider's code; None for anything but a whole number of at most 32 bits."""
    return value if type(value) is int and abs(value) < 2**31 else None


def word_of(value: object) -> str:
    """Return a provider's code that is a word; "" for anything else."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def shorten(text: object) -> str:
    """Return a server's words for people: one short line without markup and invisible characters."""
    plain = str(text)[: 10 * MAX_TEXT]
    if "<" in plain:
        plain = _TAG.sub(" ", plain)
    if not plain.isprintable():
        plain = "".join(letter if letter.isprintable() else " " for letter in plain)
    return characters.shorten(" ".join(plain.split()), MAX_TEXT)


def push_id_of(value: object) -> str:
    """Return the id that a provider gave a push; "" if it cannot be one."""
    text = str(value)
    return text if _PUSH_ID.fullmatch(text) else ""


def without_answer(failure: TransportFailure) -> Outcome:
    """Return the outcome of a call that was not answered."""
    if failure.was_sent:
        return Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER, text=shorten(failure.text))
    return Outcome(Verdict.RETRY, Reason.UNREACHABLE, Scope.KEY, text=shorten(failure.text))


def refused(answer: HttpResponse, words: str, code: str = "", meaning: Meaning | None = None) -> Outcome:
    """Return the outcome of an answer that is no success: as the provider's own `code` means it, or as the status
    means it when the code does not say more. `words` are the provider's, already shortened."""
    said = ": ".join(filter(None, (f"HTTP {answer.status} {_phrase(answer.status)}".strip(), words)))
    text = characters.shorten(words if meaning else said, MAX_TEXT)
    outcome = (meaning or _meaning(answer.status)).outcome(answer.status, code, text)
    wish = retry_after(answer.headers) if answer.status in (429, 503) else None
    return replace(outcome, retry_after_seconds=wish)


def of_exchange(outcome: Outcome) -> Outcome:
    """Return what a failed request for an access token means. It pushes nothing: so nothing is unknown about it, and
    nothing but the key is at fault."""
    if outcome.verdict is Verdict.RETRY:
        return replace(outcome, scope=Scope.KEY)
    if outcome.verdict is Verdict.FAILED:
        blame = outcome.blame or Blame.CREDENTIALS
        return replace(outcome, reason=Reason.BAD_CREDENTIALS, scope=Scope.KEY, blame=blame)
    return replace(outcome, verdict=Verdict.RETRY, reason=Reason.PROVIDER_BUSY, scope=Scope.KEY)


def _meaning(status: int) -> Meaning:
    """Return the meaning of a failure status by itself."""
    if status == 429:
        return meanings.THROTTLED
    if status == 503:
        return meanings.BUSY
    if status in NOT_TAKEN:
        return meanings.TRY_AGAIN
    if status in UNAUTHORISED:
        return meanings.BAD_CREDENTIALS
    if status in NOT_THE_ENDPOINT:
        return meanings.NOT_THE_ENDPOINT
    if 400 <= status < 500:
        return meanings.BAD_MESSAGE
    # The server, or a proxy before it, failed: the push may or may not have been done.
    return meanings.SERVER_ERROR


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds of a Retry-After header, given as a number or as a date (relative to the answer's own date, so
    that our clock does not matter); None without a valid one."""
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
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


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
