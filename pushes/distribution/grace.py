"""Chat pushes that wait for an online reader (see GROUP_GRACE_SECONDS): a reader who goes offline gets them at once.

The API reports a reader who leaves; the sweeper notices readers whose presence expired, or was deleted from Redis
by others.
"""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db.models import QuerySet

from pushes.distribution import distribute
from pushes.models import DeliveryResult
from pushes.names import Reason, Status
from pushes.people.directory import directory
from pushes.storage import batches, clocks

MAX_ROWS = 20_000
CHUNK = 5_000


def has_grace() -> bool:
    """Whether any kind of push waits for readers."""
    return any(settings.GRACE_SECONDS.values())


def left(account_id: str, *, now: datetime | None = None) -> int:
    """Wake the pushes of an account that has just gone offline. Returns how many."""
    if not has_grace():
        return 0
    now = now or clocks.now()
    return _wake(list(_waiting(now).filter(account_id=account_id).values_list("id", flat=True)[:MAX_ROWS]), now)


def wake_gone(now: datetime | None = None) -> int:
    """Wake the pushes of all readers who are no longer online. Returns how many. Raises redis.RedisError."""
    if not has_grace():
        return 0
    now = now or clocks.now()
    rows = list(_waiting(now).order_by("due_at").values_list("id", "account_id")[:MAX_ROWS])
    online = directory().online(list(dict.fromkeys(account_id for _, account_id in rows)))
    return _wake([pk for pk, account_id in rows if account_id not in online], now)


def _waiting(now: datetime) -> "QuerySet[DeliveryResult]":
    return DeliveryResult.objects.filter(status=Status.HELD, reason=Reason.ONLINE, due_at__gt=now)


def _wake(ids: Sequence[int], now: datetime) -> int:
    """Make the rows pending, and enqueue them with the rows that wait behind them in their conversations."""
    woken = 0
    for chunk in batches.chunks(ids, CHUNK):
        woken += _waiting(now).filter(id__among=chunk).update(status=Status.PENDING, reason="", due_at=now)
        keys = DeliveryResult.objects.filter(id__among=chunk, order_key__isnull=False).values_list(
            "order_key", flat=True
        )
        ready = DeliveryResult.objects.filter(order_key__in=set(keys), status=Status.PENDING, due_at__lte=now)
        distribute.enqueue_by_key(ready.order_by("id").values_list("kind", "shard", "app_key_id", "id"))
    return woken
