"""Decide whether to believe a provider that calls a device token unknown.

The answer means either a phone without the app, or a key of the wrong environment or app, under which every token is
"unknown". So a refused token is only a suspect until other tokens of the same key are accepted:

    refused ──▶ suspect ──enough others accepted──▶ deactivated
                   │ └──enough suspects to blame the key──▶ the key is paused, its pushes wait
                   └──a day without either──▶ forgotten: its next push asks again

Usually the answers of one batch include both, and a dead token is deactivated as soon as it is refused. All state is
in the database, so that all workers and machines decide alike.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.db.models import F, Q, QuerySet

from pushes.ledger.claims import Claimed
from pushes.models import AppKey, DeliveryResult, Device, SuspectToken
from pushes.names import Reason, Status
from pushes.people import devices
from pushes.storage import clocks
from pushes.text import characters
from pushes.text.notes import said
from pushes.values import Outcome, Scope, Verdict

#: This many refused tokens per accepted one are "nearly all". In a list that was not cleaned for years, half of the
#: tokens are dead; under a key of the wrong environment all are, except for a few developers' phones.
NEARLY_ALL = 4
#: Fewer different refused tokens, with none accepted, may be chance or one user's old phones: they pause no key.
MIN_TO_DOUBT = 10
#: The last minutes are judged by at most this many deliveries; they are looked for among this many of the newest
#: deliveries of all keys, because no index leads from a key to its deliveries.
LAST_MINUTES = timedelta(minutes=10)
MAX_ASKED, MAX_READ = 1_000, 20_000
#: A suspicion is forgotten after this long without an acceptance: the key's next push asks again.
SUSPECT_FOR = timedelta(days=1)

Finished = Sequence[tuple[Claimed, Outcome]]


class Suspect(NamedTuple):
    """A refused token, and how many others were accepted since."""

    token: str
    account_id: str
    device_id: int | None
    detail: str
    taken: int
    created_at: datetime


class Weighed(NamedTuple):
    """The judgement on a batch's answers. `finished` are the outcomes to write: when the tokens are not believed dead,
    their pushes wait for the key. `doubted_since` is set when the key must be paused."""

    finished: Finished
    believed: Sequence[Suspect] = ()
    doubted_since: datetime | None = None


def weigh(key: AppKey, finished: Finished) -> Weighed:
    """Weigh refused tokens against accepted ones, now and since the oldest suspicion."""
    now = clocks.now()
    accepted = {row.token for row, outcome in finished if outcome.verdict is Verdict.ACCEPTED and outcome.vouches}
    taken = len(accepted)
    returned = _returned(finished)
    refused = {
        row.token: Suspect(row.token, row.account_id, row.device_id, _words(outcome), taken, now)
        for row, outcome in finished
        if outcome.verdict is Verdict.BAD_TARGET and row.device_id not in returned
    }
    earlier = list(_suspects(key).order_by("id").values_list(*Suspect._fields))
    if not refused and not (earlier and taken):
        return Weighed(finished)
    known = [Suspect(*row)._replace(taken=row[4] + taken) for row in earlier]
    fresh = [one for token, one in refused.items() if token not in {suspect.token for suspect in known}]
    every = [*known, *fresh]
    if every[0].taken * NEARLY_ALL >= len(every):
        doubted_since = _contradicted(key, accepted, every, now)
        if doubted_since is None:
            return Weighed(finished, every)
    else:
        doubted_since = every[0].created_at if len(every) >= MIN_TO_DOUBT else None
    _remember(key, taken if known else 0, fresh)
    if doubted_since is None:
        return Weighed(finished)
    return Weighed([(row, _waits(outcome)) for row, outcome in finished], (), doubted_since)


def _contradicted(key: AppKey, accepted: set[str], suspects: Sequence[Suspect], now: datetime) -> datetime | None:
    """Return since when the last minutes as a whole blame the key; None when they do not. Without this check, one phone
    that is accepted again and again would outweigh a few suspects at a time, until all other tokens are deactivated."""
    if len(accepted) >= MIN_TO_DOUBT:
        return None
    since = max(filter(None, (now - LAST_MINUTES, key.updated_at, key.doubted_until)))
    newest = DeliveryResult.objects.order_by("-id").values_list("id", flat=True).first() or 0
    lately = DeliveryResult.objects.filter(id__gt=newest - MAX_READ, app_key_id=key.pk, created_at__gte=since)
    told = lately.filter(Q(status=Status.ACCEPTED) | Q(status=Status.FAILED, reason=Reason.BAD_TOKEN)).order_by("-id")
    living, dead = set(accepted), {suspect.token for suspect in suspects}
    for status, token in told.values_list("status", "token")[:MAX_ASKED]:
        (living if status == Status.ACCEPTED else dead).add(token)
    return since if len(dead) >= MIN_TO_DOUBT and len(living) * NEARLY_ALL < len(dead) else None


def act_on(key: AppKey, believed: Sequence[Suspect]) -> None:
    """Deactivate these tokens, each with the provider's words: our own devices, and those of a custom directory. A
    token that was registered again since it was refused is left active."""
    renewed = _renewed(believed)
    by_answer: dict[str, list[Suspect]] = defaultdict(list)
    for suspect in believed:
        if suspect.token not in renewed:
            by_answer[suspect.detail].append(suspect)
    for detail, suspects in by_answer.items():
        ours = [suspect.device_id for suspect in suspects if suspect.device_id is not None]
        others = {suspect.token: suspect.account_id for suspect in suspects if suspect.device_id is None}
        if ours:
            devices.deactivate(ours, Reason.BAD_TOKEN, said(detail))
        if others:
            devices.refuse(others, key.scope, Reason.BAD_TOKEN, said(detail))
    _suspects(key).filter(token__in=[suspect.token for suspect in believed]).delete()


def forget(key_id: int) -> None:
    """Drop all suspicions of this key: an operator says that the key is right now."""
    SuspectToken.objects.filter(app_key_id=key_id).delete()


def forget_old(now: datetime) -> int:
    """Drop old unconfirmed suspicions. Returns how many."""
    return SuspectToken.objects.filter(created_at__lt=now - SUSPECT_FOR).delete()[0]


def _suspects(key: AppKey) -> "QuerySet[SuspectToken]":
    """Return the suspects of the credentials that `key` was read with: refusals of other credentials do not count."""
    return SuspectToken.objects.filter(app_key_id=key.pk, revision=key.revision)


def _remember(key: AppKey, taken: int, fresh: Iterable[Suspect]) -> None:
    if taken:
        _suspects(key).update(taken=F("taken") + taken)
    made = partial(SuspectToken, app_key_id=key.pk, revision=key.revision)
    SuspectToken.objects.bulk_create([made(**one._asdict()) for one in fresh], ignore_conflicts=True)


def _renewed(suspects: Sequence[Suspect]) -> set[str]:
    """Return the tokens that were registered again after they were refused."""
    refused_at = {suspect.device_id: suspect for suspect in suspects if suspect.device_id is not None}
    seen = _seen(refused_at)
    return {one.token for pk, one in refused_at.items() if pk in seen and seen[pk] > one.created_at}


def _returned(finished: Finished) -> set[int]:
    """Return the devices that registered after the moment since which the provider knows their token to be dead: these
    refusals say nothing of the device that is there now."""
    dead_since = {
        row.device_id: outcome.dead_since
        for row, outcome in finished
        if outcome.verdict is Verdict.BAD_TARGET and outcome.dead_since is not None and row.device_id is not None
    }
    return {pk for pk, seen_at in _seen(dead_since).items() if seen_at.timestamp() > dead_since[pk]}


def _seen(device_ids: Collection[int]) -> Mapping[int, datetime]:
    """Return when each of these devices registered last."""
    return dict(Device.objects.filter(pk__among=set(device_ids)).values_list("pk", "seen_at")) if device_ids else {}


def _waits(outcome: Outcome) -> Outcome:
    """Return an outcome that lets the push wait until the key is right: the token may be fine."""
    if outcome.verdict is not Verdict.BAD_TARGET:
        return outcome
    return replace(outcome, verdict=Verdict.FAILED, reason=Reason.TOKENS_DOUBTED, scope=Scope.KEY)


def _words(outcome: Outcome) -> str:
    return characters.shorten(f"{outcome.code} {outcome.text}".strip(), 200)
