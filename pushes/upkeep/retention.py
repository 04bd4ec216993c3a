"""Mark pushes past their expiry as expired, and delete rows older than RETENTION_DAYS."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef

from pushes.ledger import endings
from pushes.models import DeadLetter, DeliveryResult, DeviceEvent, PushRecord
from pushes.names import CLAIMABLE, DeadLetterStatus, Reason, RecordStatus, Status
from pushes.storage import batches

log = logging.getLogger(__name__)


def expire(now: datetime) -> int:
    """Mark rows past their expiry. Claims already ensure that nothing is sent after its expiry."""
    late = DeliveryResult.objects.filter(status__in=CLAIMABLE, expires_at__lte=now)
    PushRecord.objects.filter(
        id__in=list(
            PushRecord.objects.filter(status=RecordStatus.PENDING, expires_at__lte=now).values_list("id", flat=True)[
                : batches.CHUNK
            ]
        ),
        status=RecordStatus.PENDING,
    ).update(status=RecordStatus.EXPIRED)
    return endings.end(late, Status.EXPIRED, Reason.TOO_LATE, now=now, most=batches.CHUNK)


def retain(now: datetime) -> int:
    """Delete what is older than RETENTION_DAYS, a chunk at a time, deliveries before their records."""
    oldest = now - timedelta(days=settings.RETENTION_DAYS)
    letters = DeadLetter.objects.filter(created_at__lt=oldest)
    if unread := letters.filter(status=DeadLetterStatus.NEW)[: batches.CHUNK].count():
        log.warning("deleting %s unresolved dead letters that are older than RETENTION_DAYS", unread)
    deleted, deliveries = 0, DeliveryResult.objects.filter(record_id=OuterRef("pk"))
    for rows in (
        DeliveryResult.objects.filter(created_at__lt=oldest),
        PushRecord.objects.filter(~Exists(deliveries), created_at__lt=oldest),
        DeviceEvent.objects.filter(created_at__lt=oldest),
        letters,
    ):
        ids = list(rows.order_by("id").values_list("id", flat=True)[: batches.CHUNK])
        deleted += rows.model._default_manager.filter(id__in=ids).delete()[0] if ids else 0
    return deleted
