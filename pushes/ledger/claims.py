"""The claim ledger: each change of a delivery's state is a conditional update.

    pending | retrying | held ──claim──▶ sending ──settle──▶ accepted | failed | unknown | retrying | …
                                         │  └─release──▶ retrying                (the call was not made)
                                         └─lease runs out (sweeper)──▶ pending | unknown | retrying

A `pending` row has a job; a `retrying` or `held` row has none, and waits for its `due_at` and the sweeper.

A claim marks rows with a random token and a lease by the database's clock; only its holder can settle them. `begin`
is written before the first byte leaves: so after a crash it is certain that a claimed row without `begin` never left.

A provider that is idempotent pushes once for all calls with one call key. `begin` writes the key on all rows of the
call. A waiting row with a call key had a call whose fate is open; all its rows are claimed together, so that the same
call can be made again: its answer tells the fate. A row whose fate is certain waits without a call key.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import F, Min, OuterRef, Q, QuerySet, Subquery

from pushes.models import DeliveryResult, Device
from pushes.names import CLAIMABLE, Reason, Status
from pushes.storage import clocks
from pushes.storage.each import of_each

#: One look-up by key per delivery, in a statement that runs anyway.
_OWNER = Subquery(Device.objects.filter(pk=OuterRef("device_id"), is_active=True).values("account_id"))


class Claimed(NamedTuple):
    """What sending needs of a claimed delivery. `attempts` does not yet count the coming attempt. `device_owner` is
    the account that the device belongs to now; None for an inactive device, or a custom directory's device. `call_key`
    is that of an earlier call whose fate is open; `new_call_key`, which no column holds, is that of a new call."""

    id: int
    record_id: int
    kind: str
    push_type: int
    account_id: str
    device_id: int | None
    token: str
    attempts: int
    stands_for: int
    burst: int | None
    order_key: int | None
    created_at: datetime
    due_at: datetime
    expires_at: datetime
    call_key: str
    device_owner: str | None
    new_call_key: str = ""

    @property
    def has_left_its_owner(self) -> bool:
        """Whether the device belongs to another account by now, or was deactivated."""
        return self.device_id is not None and self.device_owner != self.account_id

    @property
    def wording(self) -> tuple[int, int]:
        """What determines the text: the record, and the count of coalesced messages."""
        return self.record_id, self.stands_for


def new_token() -> str:
    return secrets.token_hex(8)


def claim(
    delivery_ids: Sequence[int], *, now: datetime, lease_seconds: float, token: str = ""
) -> tuple[str, list[Claimed]]:
    """Claim the rows that are due, unexpired, and first of their conversation.

    Returns the claim's token and the claimed rows, by id. Losing a row to another worker is normal. A caller that
    passes its own token can give back rows that were claimed although the answer was lost.
    """
    token = token or new_token()
    ids = _first_of_their_order(delivery_ids)
    # Pending rows are sent at once: by the clock of the process that made them, they may be due a moment later.
    is_due = Q(status=Status.PENDING) | Q(status__in=(Status.RETRYING, Status.HELD), due_at__lte=now)
    due = DeliveryResult.objects.filter(is_due, id__among=set(ids), expires_at__gt=now)
    lease_until = clocks.database_time(now, seconds=lease_seconds)
    taken = due.update(status=Status.SENDING, claim=token, lease_until=lease_until, sent_at=None)
    if not taken:
        return token, []
    return token, read(_held(ids, token))


def read(rows: "QuerySet[DeliveryResult]") -> list[Claimed]:
    """Return what sending needs of these rows, by id."""
    found = rows.order_by("id").annotate(device_owner=_OWNER).values_list(*Claimed._fields[:-1])
    return [Claimed(*row) for row in found]


def claim_whole_calls(
    rows: Sequence[Claimed], claim_token: str, *, now: datetime, lease_seconds: float
) -> tuple[list[Claimed], list[Claimed]]:
    """Claim, due or not, what shares a call with these rows: the provider pushes once for the call, so a second call
    for the rest of them would push to nobody. Returns all the rows, and those of them whose call has other rows under
    another claim: the caller puts these back."""
    call_keys = {row.call_key for row in rows if row.call_key}
    if not call_keys:
        return list(rows), []
    # By their records, for which there is an index.
    record_ids = {row.record_id for row in rows if row.call_key}
    shared = DeliveryResult.objects.filter(record_id__in=record_ids, call_key__in=call_keys)
    waiting = {"status__in": CLAIMABLE, "expires_at__gt": now}
    # Looked up first and then locked by their ids, so that two workers lock no more than these rows.
    rest = list(shared.filter(**waiting).order_by("id").values_list("id", flat=True))
    lease_until = clocks.database_time(now, seconds=lease_seconds)
    DeliveryResult.objects.filter(id__among=rest, call_key__in=call_keys, **waiting).update(
        status=Status.SENDING, claim=claim_token, lease_until=lease_until, sent_at=None
    )
    # Whoever gives way to us at this moment has already put them back, so they need not be claimed to be missing here.
    is_wanted = Q(status=Status.SENDING) | Q(status__in=CLAIMABLE, expires_at__gt=now)
    others = shared.filter(is_wanted).exclude(claim=claim_token)
    elsewhere = set(others.values_list("call_key", flat=True))
    mine = {row.id: row for row in read(shared.filter(status=Status.SENDING, claim=claim_token))}
    every = sorted(({row.id: row for row in rows} | mine).values())
    return every, [row for row in every if row.call_key in elsewhere]


def _first_of_their_order(delivery_ids: Sequence[int]) -> list[int]:
    """Leave out rows that must wait for an earlier, still live row of the same conversation and device."""
    asked = DeliveryResult.objects.filter(id__among=set(delivery_ids), order_key__isnull=False)
    ordered = dict(asked.values_list("id", "order_key"))
    if not ordered:
        return list(delivery_ids)
    first = dict(
        DeliveryResult.objects.filter(order_key__among=set(ordered.values()))
        .values_list("order_key")
        .annotate(first=Min("id"))
    )
    return [pk for pk in delivery_ids if pk not in ordered or first.get(ordered[pk]) == pk]


def waited_for(sent: Sequence[Claimed], delivery_ids: Sequence[int]) -> list[int]:
    """Return the rows that were not claimed because one of `sent` came first in their conversation: they may be free
    now. Rows that were not claimed for other reasons are left out."""
    rest = set(delivery_ids) - {row.id for row in sent}
    order_keys = {row.order_key for row in sent if row.order_key is not None}
    if not rest or not order_keys:
        return []
    behind = DeliveryResult.objects.filter(id__among=rest, order_key__in=order_keys)
    return list(behind.order_by("id").values_list("id", flat=True))


def begin(
    delivery_ids: Sequence[int],
    claim_token: str,
    *,
    now: datetime,
    lease_seconds: float,
    call_keys: Mapping[str, Sequence[int]] | None = None,
) -> set[int]:
    """Record that the provider calls for these rows are about to be made, and count the attempt. The lease starts
    anew, so that the calls have all of it, however long the batch took to prepare. `call_keys` are the rows of each
    call that has one.

    Returns the ids that are still claimed and unexpired: make calls only for these. The sweeper has given back the
    others, or they expired while the batch was being prepared.
    """
    ours = _held(delivery_ids, claim_token)
    lease_until = clocks.database_time(now, seconds=lease_seconds)
    changes: dict[str, Any] = {"sent_at": now, "lease_until": lease_until, "attempts": F("attempts") + 1}
    if call_keys:
        changes["call_key"] = _call_key_of_each(call_keys)
    begun = ours.filter(expires_at__gt=now).update(**changes)
    if begun == len(delivery_ids):
        return set(delivery_ids)
    return set(ours.filter(sent_at__isnull=False).values_list("id", flat=True))


def prolong(delivery_ids: Sequence[int], claim_token: str, *, now: datetime, lease_seconds: float) -> set[int]:
    """Let the lease of begun rows start anew, before their calls are made once more. Returns the ids that are still
    claimed: make calls only for these."""
    ours = _held(delivery_ids, claim_token)
    prolonged = ours.update(lease_until=clocks.database_time(now, seconds=lease_seconds))
    return set(delivery_ids) if prolonged == len(delivery_ids) else set(ours.values_list("id", flat=True))


def name_calls(call_keys: Mapping[str, Sequence[int]], claim_token: str) -> None:
    """Write the keys of calls that are about to be made for rows whose first call was certainly refused."""
    delivery_ids = [pk for ids in call_keys.values() for pk in ids]
    _held(delivery_ids, claim_token).update(call_key=_call_key_of_each(call_keys))


def _call_key_of_each(call_keys: Mapping[str, Sequence[int]]) -> Any:
    return of_each({pk: key for key, ids in call_keys.items() for pk in ids}, column="call_key")


def forget_calls(delivery_ids: Sequence[int], claim_token: str) -> int:
    """Give up the open calls of claimed rows, which nobody can tell the fate of any more: they may have arrived."""
    return _held(delivery_ids, claim_token).update(call_key="", may_have_arrived=True)


def settle(delivery_ids: Sequence[int], claim_token: str, **changes: Any) -> int:
    """Write the new state of claimed rows. A terminal status must come with `order_key=None` and `finished_at`.

    Rows that the sweeper took away meanwhile are left unchanged.
    """
    return _held(delivery_ids, claim_token).update(claim="", lease_until=None, **changes)


def release(
    delivery_ids: Sequence[int],
    claim_token: str,
    *,
    due_at: datetime,
    reason: Reason,
    is_begun: bool = False,
    is_call_open: bool = False,
) -> int:
    """Put back rows whose call was not made, until `due_at`. The attempt of a begun row is uncounted, and its call key
    ends, unless the fate of an earlier call with it is open."""
    changes: dict[str, Any] = {"attempts": F("attempts") - 1} if is_begun else {}
    changes |= {"call_key": ""} if is_begun and not is_call_open else {}
    return settle(delivery_ids, claim_token, status=Status.RETRYING, due_at=due_at, reason=reason, **changes)


def give_back(delivery_ids: Sequence[int], claim_token: str, *, now: datetime, is_new_call: bool = False) -> int:
    """Put back rows that provably never left, begun or not, to be sent again immediately. Their call key ends if it is
    that of a new call; that of an earlier call, whose fate is open, stays."""
    held = _held(delivery_ids, claim_token)
    changes: dict[str, Any] = {"status": Status.RETRYING, "due_at": now, "reason": Reason.CUT_OFF, "lease_until": None}
    changes |= {"call_key": ""} if is_new_call else {}
    begun = held.filter(sent_at__isnull=False).update(claim="", attempts=F("attempts") - 1, sent_at=None, **changes)
    return begun + held.update(claim="", **changes)


def postpone(delivery_ids: Sequence[int], *, due_at: datetime, reason: Reason) -> int:
    """Let unclaimed rows wait until `due_at`, or longer if they are due later anyway."""
    waiting = DeliveryResult.objects.filter(id__among=set(delivery_ids), status__in=(Status.PENDING, Status.RETRYING))
    return waiting.filter(due_at__lt=due_at).update(status=Status.RETRYING, due_at=due_at, reason=reason)


def still_held(delivery_ids: Sequence[int], claim_token: str) -> set[int]:
    """Return the rows that this claim still holds, locked until the caller's transaction ends."""
    return set(_held(delivery_ids, claim_token).select_for_update().values_list("id", flat=True))


def recount(delivery_id: int, claim_token: str, stands_for: int) -> int:
    """Set how many messages claimed rows stand for."""
    return _held([delivery_id], claim_token).update(stands_for=stands_for)


def _held(delivery_ids: Sequence[int], claim_token: str) -> "QuerySet[DeliveryResult]":
    return DeliveryResult.objects.filter(id__among=set(delivery_ids), claim=claim_token, status=Status.SENDING)
