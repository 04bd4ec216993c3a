"""One search box for accounts, tokens, messages, chats, pushes and the provider's numbers.

Each guess is one existence test on an index, in turn; texts are not searched. A prefix (`account:`, `token:`,
`message:`, `chat:`, `push:`, `provider:`) makes the meaning explicit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, Q
from django.utils.translation import gettext as _

from pushes.models import DeliveryResult, MultiPush, PushRecord
from pushes.people import token_search
from pushes.people.token_search import has_token, token_begins
from pushes.storage.prefix import exists
from pushes.text import ids

MIN_TOKEN_PREFIX = 6
MAX_NUMBER_LENGTH = 18
#: A careless producer repeats message ids. This many pushes of one id are looked up.
MAX_RECORDS = 200
MAX_DELIVERIES = 20_000


@dataclass(frozen=True, slots=True)
class Found:
    """The meaning of a search text: the rows to show, and a phrase that describes it."""

    condition: Q
    phrase: str


Guess = Callable[[str], Found | None]


def deliveries(text: str) -> Found | None:
    """Return the deliveries that `text` names, or None when nothing in the log matches."""
    return _first(text, DELIVERY_GUESSES)


def records(text: str) -> Found | None:
    """Return the pushes that `text` names, or None."""
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
    # As typed, for ids from before ids were checked, and normalised.
    condition = Q(account_id__in={text, ids.typed(text)})
    return _present(DeliveryResult, condition, _("account %(id)s") % {"id": ids.typed(text)})


def _of_token(text: str) -> Found | None:
    return _present(DeliveryResult, has_token(text), _("a device token"))


def _of_token_prefix(text: str) -> Found | None:
    if len(text) < MIN_TOKEN_PREFIX:
        return None
    phrase = _("device tokens starting with %(prefix)s…") % {"prefix": text[:12]}
    return _present(DeliveryResult, token_begins(text), phrase)


def _of_any_token(text: str) -> Found | None:
    return _of_masked_token(text) if token_search.is_mask(text) else _of_token(text) or _of_token_prefix(text)


def _of_masked_token(text: str) -> Found | None:
    tokens = token_search.of_deliveries(text)
    phrase = _("device tokens like %(mask)s") % {"mask": text.strip()}
    if len(tokens) < 2:
        return _present(DeliveryResult, Q(token=tokens[0]), phrase) if tokens else None
    rows = DeliveryResult.objects.filter(token__in=tokens).order_by("-token")
    ids = list(rows.values_list("pk", flat=True)[:MAX_DELIVERIES])
    return Found(Q(pk__among=ids), phrase) if ids else None


def _of_message(text: str) -> Found | None:
    return _of_records(Q(message_id=text), _("message %(id)s") % {"id": text})


def _of_chat(text: str) -> Found | None:
    return _of_records(Q(conversation__in=chat_names(text)), _("chat %(id)s") % {"id": text})


def chat_names(text: str) -> list[str]:
    """Return the conversations that a chat id may mean: the whole name, a group id, or the two of a private chat."""
    names = [text, f"group:{text}", f"private:{text}"]
    one, comma, other = (part.strip() for part in text.partition(","))
    return [*names, "private:" + ":".join(sorted((one, other)))] if comma else names


def _of_records(condition: Q, phrase: str) -> Found | None:
    """Return the deliveries of the pushes that meet the condition; if there are many, of the newest ones."""
    found = PushRecord.objects.filter(condition).order_by("-id").values_list("id", flat=True)
    ids = list(found[: MAX_RECORDS + 1])
    if not ids:
        return None
    if len(ids) == 1:
        return Found(Q(record_id=ids[0]), phrase)
    if len(ids) > MAX_RECORDS:
        phrase = _("%(what)s (newest %(n)s pushes)") % {"what": phrase, "n": MAX_RECORDS}
    # By their keys, read off the pushes' index: asked for the newest of several pushes' rows, MariaDB prefers to
    # read the whole log backwards.
    rows = DeliveryResult.objects.filter(record_id__in=ids[:MAX_RECORDS]).order_by("-record_id")
    return Found(Q(pk__among=list(rows.values_list("pk", flat=True)[:MAX_DELIVERIES])), phrase)


def _of_push(text: str) -> Found | None:
    if not text.isdecimal() or len(text) > MAX_NUMBER_LENGTH:
        return None
    return _present(DeliveryResult, Q(record_id=int(text)), _("push #%(id)s") % {"id": text})


def _of_provider(text: str) -> Found | None:
    shared = list(MultiPush.objects.filter(push_id=text).values_list("record_id", flat=True)[:MAX_RECORDS])
    phrase = _("the provider's push %(id)s") % {"id": text}
    if shared:
        return Found(Q(record_id__in=shared, provider_push_id=text), phrase)
    return _present(DeliveryResult, Q(provider_push_id=text), phrase)


def _record_of_message(text: str) -> Found | None:
    return _present(PushRecord, Q(message_id=text), _("message %(id)s") % {"id": text})


def _record_of_chat(text: str) -> Found | None:
    return _present(PushRecord, Q(conversation__in=chat_names(text)), _("chat %(id)s") % {"id": text})


def _record_of_number(text: str) -> Found | None:
    if not text.isdecimal() or len(text) > MAX_NUMBER_LENGTH:
        return None
    return _present(PushRecord, Q(pk=int(text)), _("push #%(id)s") % {"id": text})


DELIVERY_GUESSES: dict[str, Guess] = {
    "account": _of_account,
    "message": _of_message,
    "chat": _of_chat,
    "token": _of_any_token,
    "push": _of_push,
    "provider": _of_provider,
}
RECORD_GUESSES: dict[str, Guess] = {
    "message": _record_of_message,
    "chat": _record_of_chat,
    "push": _record_of_number,
}
