"""What an HTTP answer, or the lack of one, means before the provider's own codes are looked at."""

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
from pushes.values import Outcome, Scope, Verdict

MAX_TEXT = 200
#: The longest pause that a provider may ask for; more is taken for a mistake.
MAX_RETRY_AFTER_SECONDS = 3600.0

#: A server that answers so is not the endpoint of the key; every push would end like this one.
NOT_THE_ENDPOINT = frozenset({*range(100, 200), *range(300, 400), 404, 405, 410})
#: The key is not good enough for a server that answers so, for this push and every other.
UNAUTHORISED = frozenset({401, 403})
#: The server says that it did not take the request.
NOT_TAKEN = frozenset({408, 425})
#: Of these the status alone counts, whatever the body says.
STATUS_COUNTS = NOT_THE_ENDPOINT | UNAUTHORISED | NOT_TAKEN | {429}
#: What is shown of an answer: no longer than the column, and none of the markup that a proxy's error page has.
_TAG = re.compile(r"</?[A-Za-z!?][^<>]*>?")
_PUSH_ID = re.compile(r"[\w.:+/=-]*", re.ASCII)


class Said(NamedTuple):
    """An answer that the provider's own code explains: the status it came with, and its JSON object."""

    http_status: int
    fields: Mapping[str, Any]


def parse(answer: Answer, codes: Sequence[str] = (), words: Sequence[str] = ()) -> Said | Outcome:
    """The JSON object of an answer that the provider's own code explains, or what became of the call without one.

    `codes` and `words` are the names under which the provider gives its code and its words for it. A request that
    never left is to be tried again. For one that left, only an answer tells: without a readable one, and after a
    server's error, the push may have happened. `docs/providers.md` has the whole table.
    """
    if isinstance(answer, TransportFailure):
        return _without_answer(answer)
    found, is_success = _object(answer.body), 200 <= answer.status < 300
    if found is not None and (is_success or _explains(answer.status, found, codes)):
        return Said(answer.status, found)
    if is_success:
        return unreadable(answer.status, f"HTTP {answer.status} without a readable answer")
    return _refused(answer, shorten(_first(found or {}, words)))


def unreadable(http_status: int, text: str) -> Outcome:
    """A success that does not say of what."""
    return meanings.NO_ANSWER.outcome(http_status, None, text)


def _explains(status: int, found: Mapping[str, Any], codes: Sequence[str]) -> bool:
    """Whether the provider's own code says more than the status: of a request that was wrong, what was wrong."""
    return 400 <= status < 500 and status not in STATUS_COUNTS and bool(code_of(_first(found, codes)))


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        parsed = exact_json.loads(body)
    except exact_json.JsonError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _first(found: Mapping[str, Any], names: Sequence[str]) -> Any:
    """What stands under the first of the names that is there and not empty."""
    return next((found[name] for name in names if found.get(name)), "")


def code_of(value: object) -> int | None:
    """A provider's own code; None for what is none: no whole number, or one of more than 32 bits."""
    return value if type(value) is int and abs(value) < 2**31 else None


def shorten(text: object) -> str:
    """A server's words for people: one short line without markup and characters that do not show."""
    plain = str(text)[: 10 * MAX_TEXT]
    if "<" in plain:
        plain = _TAG.sub(" ", plain)
    if not plain.isprintable():
        plain = "".join(letter if letter.isprintable() else " " for letter in plain)
    return characters.shorten(" ".join(plain.split()), MAX_TEXT)


def push_id_of(value: object) -> str:
    """The id that a provider gave a push; "" for what cannot be one."""
    text = str(value)
    return text if _PUSH_ID.fullmatch(text) else ""


def _without_answer(failure: TransportFailure) -> Outcome:
    if failure.was_sent:
        return Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER, text=shorten(failure.text))
    return Outcome(Verdict.RETRY, Reason.UNREACHABLE, Scope.KEY, text=shorten(failure.text))


def _refused(answer: HttpResponse, words: str) -> Outcome:
    said = ": ".join(filter(None, (f"HTTP {answer.status} {_phrase(answer.status)}".strip(), words)))
    text = characters.shorten(said, MAX_TEXT)
    wish = retry_after(answer.headers) if answer.status in (429, 503) else None
    return replace(_meaning(answer.status).outcome(answer.status, None, text), retry_after_seconds=wish)


def _meaning(status: int) -> Meaning:
    """What a status that is no success says by itself."""
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
    # The server failed, or one on the way to it: neither says whether the push was done.
    return meanings.SERVER_ERROR


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
