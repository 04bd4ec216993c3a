"""Find the dead tokens that a provider drops from accepted lists without a word, by asking afterwards, a little at a
time. The answers are weighed like refusals: under a wrong key every token seems dead.

Deliveries of the last day are walked through by id, once they have had time to be sent. How far the walk has come is
kept in Redis for each key: whoever loses it asks some questions twice. A delivery that was accepted much later than it
was made is not asked about; its device's next list is.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pushes import vault
from pushes.keys import belief, gate, pausing
from pushes.ledger import claims
from pushes.ledger.claims import Claimed
from pushes.models import AppKey, DeliveryResult
from pushes.names import Reason, Status
from pushes.providers import hosts
from pushes.providers.base import Fates, HttpRequest
from pushes.providers.one_shot import calls
from pushes.providers.registry import PROVIDERS, provider
from pushes.storage import batches, shared_redis
from pushes.values import Outcome, Scope, Verdict
from pushes.workers import queues

log = logging.getLogger(__name__)

#: After this long the vendor knows what became of a list; beyond the other it is not asked any more.
RIPE_AFTER, ASKED_WITHIN = timedelta(minutes=10), timedelta(days=1)
#: A round of one key: deliveries that are looked at, questions, tokens in a question, and seconds for all of them.
MAX_READ, MAX_CALLS, MAX_TOKENS, MAX_SECONDS = 20_000, 4, 500, 3.0
POSITION_KEY = "higo:key:{key_id}:fates"
DEAD = Outcome(Verdict.BAD_TARGET, Reason.BAD_TOKEN, text="the provider dropped it from a list: it is of no device")
ALIVE = Outcome(Verdict.ACCEPTED)


class Part(NamedTuple):
    """The rows of one list, or of a part of it, in order, and when they were sent."""

    push_id: str
    rows: list[Claimed]
    sent_at: datetime


def ask(now: datetime) -> int:
    """Ask about some accepted lists of each key. Returns about how many deliveries an answer came. Raises
    redis.RedisError."""
    kinds = [known.kind for known in PROVIDERS if known.finds_dead_tokens]
    keys = AppKey.objects.filter(provider__in=kinds, is_enabled=True, paused_at__isnull=True)
    return sum(_ask_under(key, now) for key in keys)


def _ask_under(key: AppKey, now: datetime) -> int:
    start, end = _span(key, now)
    if start >= end:
        return 0
    parts = list(_parts(key, start, end))
    granted = gate.admit(key.pk, min(len(parts), MAX_CALLS), key.rate_per_second).granted if parts else 0
    asked = parts[:granted]
    answered, told = _answers(key, asked)
    for part, fates in zip(asked, told, strict=False):
        _act_on(key, part, fates)
    done = min((part.rows[0].id - 1 for part in parts[answered:]), default=end)
    client: Any = shared_redis.connection()
    client.set(POSITION_KEY.format(key_id=key.pk), done, ex=int(ASKED_WITHIN.total_seconds()))
    return sum(len(part.rows) for part in parts[:answered])


def _span(key: AppKey, now: datetime) -> tuple[int, int]:
    """Return the ids between which this round looks: after the first, up to the second."""
    made = DeliveryResult.objects.filter(created_at__gte=now - ASKED_WITHIN, created_at__lte=now - RIPE_AFTER)
    ids = made.values_list("id", flat=True)
    first, last = ids.order_by("created_at", "id").first(), ids.order_by("-created_at", "-id").first()
    if first is None or last is None:
        return 0, 0
    client: Any = shared_redis.connection()
    stored = queues.unless_strange(lambda: client.get(POSITION_KEY.format(key_id=key.pk)), b"")
    position = int(stored) if stored and stored.isdigit() else 0
    # A position beyond the newest delivery is not ours: believed, it would end the asking for good.
    start = max(position if position <= last else 0, first - 1)
    return start, min(last, start + MAX_READ)


def _parts(key: AppKey, start: int, end: int) -> Iterator[Part]:
    """Return the accepted lists in a span, in parts that can be asked about, by their first rows. A call for a single
    token has told its fate already."""
    accepted = DeliveryResult.objects.filter(
        id__gt=start, id__lte=end, app_key_id=key.pk, status=Status.ACCEPTED, sent_at__isnull=False
    ).exclude(provider_push_id="")
    sent = {pk: (push_id, at) for pk, push_id, at in accepted.values_list("id", "provider_push_id", "sent_at")}
    lists: dict[tuple[str, datetime | None], list[Claimed]] = defaultdict(list)
    for row in claims.read(accepted):
        lists[sent[row.id]].append(row)
    for (push_id, sent_at), rows in lists.items():
        if len(rows) > 1 and sent_at is not None:
            yield from (Part(push_id, part, sent_at) for part in batches.chunks(rows, MAX_TOKENS))


def _answers(key: AppKey, parts: Sequence[Part]) -> tuple[int, list[Fates]]:
    """Ask about these parts. Returns how many of them, from the first, are done with, and their fates. A question that
    the vendor does not understand is done with, too; while the vendor is away or busy, the next round asks again."""
    try:
        requests = list(_requests(key, parts))
    except (vault.SecretUnreadableError, ValueError) as error:
        log.warning("app key %s: it cannot be asked what became of its lists (%s)", key, error)
        return 0, []
    told: list[Fates] = []
    for answer in calls(requests, MAX_SECONDS, hosts.guard) if requests else ():
        fates = provider(key.provider).read_fates(answer)
        if isinstance(fates, Outcome):
            if fates.verdict in (Verdict.RETRY, Verdict.UNKNOWN) or fates.scope is Scope.KEY:
                break
            fates = Fates(frozenset(), frozenset())
        told.append(fates)
    return len(told), told


def _requests(key: AppKey, parts: Iterable[Part]) -> Iterator[HttpRequest]:
    credentials, own = key.credentials(), provider(key.provider)
    for part in parts:
        yield own.fates(credentials, part.push_id, [row.token for row in part.rows], now=int(time.time()))


def _act_on(key: AppKey, part: Part, fates: Fates) -> None:
    """Deactivate the dead tokens of a list, or pause the key, as the answers of pushes would. A device that registered
    since the list was sent is alive."""
    dead = replace(DEAD, dead_since=part.sent_at.timestamp())
    finished = [(row, dead) for row in part.rows if row.token in fates.dead]
    weighed = belief.weigh(key, finished + [(row, ALIVE) for row in part.rows if row.token in fates.alive])
    if weighed.believed:
        belief.act_on(key, weighed.believed)
    if weighed.doubted_since is not None:
        pausing.pause_for_doubt(key, weighed.doubted_since)
