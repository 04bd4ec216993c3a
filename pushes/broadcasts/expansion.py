"""Turn a launched broadcast's audience into deliveries, a page at a time."""

import contextlib
import logging
from collections import Counter as Tally
from datetime import datetime

from django.db import transaction
from django.db.models import Case, Count, IntegerField, When

from pushes.broadcasts import audiences, canary, lifecycle, message, progress, rows
from pushes.distribution import distribute
from pushes.distribution.planned import Pending
from pushes.ledger import tallies
from pushes.models import Broadcast, BroadcastTally, DeliveryResult, PushRecord
from pushes.names import App, BroadcastPhase, BroadcastStatus
from pushes.storage import clocks, conflicts
from pushes.text import notes
from pushes.workers import queues

log = logging.getLogger(__name__)


def expand(broadcast_id: int) -> int:
    """Turn the next chunk of the audience into deliveries. Rows and cursor move in one transaction, so each chunk is
    made once, however often this runs. Does nothing while the canary's outcomes are awaited. On a permanent error the
    broadcast is paused, with the error as its reason. Returns the number of rows."""
    try:
        return _expand(broadcast_id)
    except Exception as error:
        if isinstance(error, Broadcast.DoesNotExist) or queues.must_wait(error):
            raise
        log.exception("broadcast #%s cannot be sent", broadcast_id)
        with contextlib.suppress(rows.BroadcastStateError):
            lifecycle.pause(broadcast_id, reason=notes.of_error(error))
        return 0


@conflicts.repeated
def _expand(broadcast_id: int) -> int:
    with transaction.atomic():
        broadcast = rows.locked(broadcast_id)
        if broadcast.status != BroadcastStatus.SENDING or broadcast.is_expanded or canary.is_waiting(broadcast):
            return 0
        app = App(broadcast.listed_app or broadcast.apps[0])
        record = Pending(*PushRecord.objects.values_list(*Pending._fields).get(broadcast=broadcast, app=app))
        batch = message.look_up(broadcast.push_type, broadcast.window_policy, clocks.now())
        page = audiences.next_page(broadcast, app, pages=canary.pages_at_once(broadcast))
        chosen = canary.members(broadcast, record.id, page.members)
        chosen = audiences.one_per_installation(broadcast, app, chosen, batch.key_ids)
        recipients = audiences.recipients(broadcast, app, chosen)
        drafts = [draft for recipient in recipients for draft in distribute.drafts_for(record, recipient, batch)]
        is_over = _move_on(broadcast, app, page, batch.now)
        newest = DeliveryResult.objects.order_by("-id").values_list("id", flat=True).first() or 0
        distribute.store(drafts, [record.id], batch.now, after_id=newest)
        _tally_made(record.id, newest, batch.now)
        if is_over and broadcast.phase != BroadcastPhase.CANARY:
            # From here on the size is known, and every page reports it.
            Broadcast.objects.filter(pk=broadcast_id).update(estimate=progress.progress(broadcast_id).devices)
        if not is_over:
            queues.enqueue_expansion(broadcast_id)
    return len(drafts)


def _move_on(broadcast: Broadcast, app: App, page: audiences.Page, now: datetime) -> bool:
    """Move the cursor to the next page or the next app. Returns whether everything has been listed."""
    broadcast.listed_app, broadcast.cursor = app, page.cursor
    others = broadcast.apps[broadcast.apps.index(app) + 1 :]
    is_over = page.is_last and not others
    if page.is_last and others:
        broadcast.listed_app, broadcast.cursor = others[0], 0
    elif is_over and broadcast.phase == BroadcastPhase.CANARY:
        broadcast.canary_listed_at = now
    elif is_over:
        broadcast.is_expanded = True
    broadcast.save(update_fields=["listed_app", "cursor", "is_expanded", "canary_listed_at"])
    return is_over


def _tally_made(record_id: int, after_id: int, now: datetime) -> None:
    """Count the rows that were really inserted: a refused account has one row, however many devices were listed."""
    made = DeliveryResult.objects.filter(record_id=record_id, id__gt=after_id).order_by()
    ends: Tally[tuple[int, str, str]] = Tally()
    for status, reason, token, number in made.annotate(
        has_token=Case(When(token="", then=0), default=1, output_field=IntegerField())
    ).values_list("status", "reason", "has_token", Count("id")):
        ends[record_id, status, reason] += number
        ends[record_id, BroadcastTally.MADE, "" if token else BroadcastTally.WITHOUT_DEVICE] += number
    tallies.add(ends, now)
