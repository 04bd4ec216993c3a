"""The claim ledger: each change of a delivery's state is a conditional update.

    pending | retrying | held ──claim──▶ sending ──settle──▶ accepted | failed | unknown | retrying | …
                                         │  └─release──▶ retrying                (the call was not made)
                                         └─lease runs out (sweeper)──▶ pending | unknown | retrying

A `pending` row has a job; a `retrying` or `held` row has none, and waits for its `due_at` and the sweeper.

A claim marks rows with a random token and a lease by the database's clock; only its holder can settle them. `begin`
is written before the first byte leaves: so after a crash it is certain that a claimed row without `begin` never left.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import F, Min, OuterRef, Q, QuerySet, Subquery

from pushes.models import DeliveryResult, Device
from pushes.names import Reason, Status
from pushes.storage import clocks


class Claimed(NamedTuple):
    """What sending needs of a claimed delivery. `attempts` does not yet count the coming attempt. `device_owner` is
    the account that the device belongs to now; None for an inactive device, or a custom directory's device."""

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
    device_owner: str | None

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
    mine = DeliveryResult.objects.filter(id__among=set(ids), claim=token, status=Status.SENDING).order_by("id")
    # One look-up by key per delivery, in a statement that runs anyway.
    owner = Device.objects.filter(pk=OuterRef("device_id"), is_active=True).values("account_id")
    found = mine.annotate(device_owner=Subquery(owner)).values_list(*Claimed._fields)
    return token, [Claimed(*row) for row in found]


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


def begin(delivery_ids: Sequence[int], claim_token: str, *, now: datetime, lease_seconds: float) -> set[int]:
    """Record that the provider calls for these rows are about to be made, and count the attempt. The lease starts
    anew, so that the calls have all of it, however long the batch took to prepare.

    Returns the ids that are still claimed and unexpired: make calls only for these. The sweeper has given back the
    others, or they expired while the batch was being prepared.
    """
    ours = _held(delivery_ids, claim_token)
    lease_until = clocks.database_time(now, seconds=lease_seconds)
    begun = ours.filter(expires_at__gt=now).update(sent_at=now, lease_until=lease_until, attempts=F("attempts") + 1)
    if begun == len(delivery_ids):
        return set(delivery_ids)
    return set(ours.filter(sent_at__isnull=False).values_list("id", flat=True))


def settle(delivery_ids: Sequence[int], claim_token: str, **changes: Any) -> int:
    """Write the new state of claimed rows. A terminal status must come with `order_key=None` and `finished_at`.

    Rows that the sweeper took away meanwhile are left unchanged.
    """
    return _held(delivery_ids, claim_token).update(claim="", lease_until=None, **changes)


def release(
    delivery_ids: Sequence[int], claim_token: str, *, due_at: datetime, reason: Reason, is_begun: bool = False
) -> int:
    """Put back rows whose call was not made, until `due_at`. The attempt of a begun row is uncounted."""
    changes: dict[str, Any] = {"attempts": F("attempts") - 1} if is_begun else {}
    return settle(delivery_ids, claim_token, status=Status.RETRYING, due_at=due_at, reason=reason, **changes)


def give_back(delivery_ids: Sequence[int], claim_token: str, *, now: datetime) -> int:
    """Put back rows that provably never left, begun or not, to be sent again immediately."""
    held = _held(delivery_ids, claim_token)
    changes: dict[str, Any] = {"status": Status.RETRYING, "due_at": now, "reason": Reason.CUT_OFF, "lease_until": None}
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
