"""One search box that understands what was typed: account, token, message, push or provider's number.

Each guess is one existence test on an index, tried in turn; nothing searches inside a text. A prefix
(`account:`, `token:`, `message:`, `push:`, `provider:`) says outright what is meant.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, Q
from django.utils.translation import gettext as _

from pushes.admin.filters import exists, starts_with
from pushes.models import DeliveryResult, MultiPush, PushRecord

SHORTEST_TOKEN_PREFIX = 6
LONGEST_NUMBER = 18
#: A message id is the producer's; a careless one repeats. This many of its pushes are looked up.
MOST_RECORDS = 200


@dataclass(frozen=True, slots=True)
class Found:
    """What a search text means: the rows to show and a phrase that says so."""

    condition: Q
    phrase: str


Guess = Callable[[str], Found | None]


def deliveries(text: str) -> Found | None:
    """The deliveries that `text` names, or None when nothing in the log matches it."""
    return _first(text, DELIVERY_GUESSES)


def records(text: str) -> Found | None:
    """The pushes that `text` names, or None."""
    return _first(text, RECORD_GUESSES)


def _first(text: str, guesses: dict[str, Guess]) -> Found | None:
    kind, colon, rest = text.strip().partition(":")
    if colon and kind.lower() in guesses:
        return guesses[kind.lower()](rest.strip())
    if text.strip().startswith("#"):
        return guesses["push"](text.strip()[1:])
    return next(_found(text.strip(), guesses.values()), None)


def _found(text: str, guesses: Any) -> Iterator[Found]:
    for guess in guesses:
        found = guess(text) if text else None
        if found is not None:
            yield found


def _present(model: type[Model], condition: Q, phrase: str) -> Found | None:
    return Found(condition, phrase) if exists(model, condition) else None


def _of_account(text: str) -> Found | None:
    return _present(DeliveryResult, Q(account_id=text), _("account %(id)s") % {"id": text})


def _of_token(text: str) -> Found | None:
    return _present(DeliveryResult, Q(token=text), _("one device token"))


def _of_token_prefix(text: str) -> Found | None:
    if len(text) < SHORTEST_TOKEN_PREFIX:
        return None
    phrase = _("device tokens that begin with %(prefix)s…") % {"prefix": text[:12]}
    return _present(DeliveryResult, starts_with("token", text), phrase)


def _of_any_token(text: str) -> Found | None:
    return _of_token(text) or _of_token_prefix(text)


def _of_message(text: str) -> Found | None:
    ids = list(PushRecord.objects.filter(message_id=text).order_by("-id").values_list("id", flat=True)[:MOST_RECORDS])
    return Found(Q(record_id__in=ids), _("message %(id)s") % {"id": text}) if ids else None


def _of_push(text: str) -> Found | None:
    if not text.isdecimal() or len(text) > LONGEST_NUMBER:
        return None
    return _present(DeliveryResult, Q(record_id=int(text)), _("push #%(id)s") % {"id": text})


def _of_provider(text: str) -> Found | None:
    shared = list(MultiPush.objects.filter(push_id=text).values_list("record_id", flat=True)[:MOST_RECORDS])
    phrase = _("the provider's push %(id)s") % {"id": text}
    if shared:
        return Found(Q(record_id__in=shared, provider_push_id=text), phrase)
    return _present(DeliveryResult, Q(provider_push_id=text), phrase)


def _record_of_message(text: str) -> Found | None:
    return _present(PushRecord, Q(message_id=text), _("message %(id)s") % {"id": text})


def _record_of_number(text: str) -> Found | None:
    if not text.isdecimal() or len(text) > LONGEST_NUMBER:
        return None
    return _present(PushRecord, Q(pk=int(text)), _("push #%(id)s") % {"id": text})


DELIVERY_GUESSES: dict[str, Guess] = {
    "account": _of_account,
    "message": _of_message,
    "token": _of_any_token,
    "push": _of_push,
    "provider": _of_provider,
}
RECORD_GUESSES: dict[str, Guess] = {"message": _record_of_message, "push": _record_of_number}
