"""Messages, records and deliveries as the engine's stages find them: waiting to be worked on."""

import itertools
from datetime import timedelta
from typing import Any

from django.utils import timezone
from pytest_django import Settings

from higo_push.running.processes import free_port
from pushes.distribution import planned
from pushes.models import DeliveryResult, Device, PushRecord
from pushes.names import App, Environment, Kind, Platform, RecordStatus
from pushes.values import Audience, PushMessage
from tests.make import make_token

_numbers = itertools.count(1)


def make_message(*account_ids: str, platform: Platform | None = None, **fields: Any) -> PushMessage:
    """A system push of the default type, as a producer hands it in; every one has an identity of its own."""
    given: dict[str, Any] = {
        "kind": Kind.SYSTEM,
        "app": App.HIGO,
        "text": "您有新的订单",
        "source": "test",
        "identity": f"message-{next(_numbers)}",
    }
    return PushMessage(audience=Audience(account_ids or ("user",), platform), **given | fields)


def make_record(**fields: Any) -> PushRecord:
    """A stored push that has been distributed, and expires in an hour."""
    now = timezone.now()
    given: dict[str, Any] = {
        "dedupe_key": f"rows{next(_numbers):028x}",
        "kind": Kind.SYSTEM,
        "push_type": 55,
        "app": App.HIGO,
        "source": "test",
        "text": "您有新的订单",
        "status": RecordStatus.DISTRIBUTED,
        "occurred_at": now,
        "created_at": now,
        "expires_at": now + timedelta(hours=1),
    }
    return PushRecord.objects.create(**given | fields)


def make_delivery(record: PushRecord | None = None, device: Device | None = None, **fields: Any) -> DeliveryResult:
    """A delivery of `record` (or a new one) to `device` (or a made-up token) that is due now."""
    record = record or make_record()
    token = device.token if device else make_token()
    given: dict[str, Any] = {
        "kind": record.kind,
        "push_type": record.push_type,
        "shard": record.shard,
        "app": record.app,
        "platform": device.platform if device else Platform.ANDROID,
        "environment": Environment.PRODUCTION,
        "account_id": device.account_id if device else f"user{next(_numbers)}",
        "device_id": device.pk if device else None,
        "token": token,
        "order_key": planned.order_key(record.conversation, token),
        "due_at": timezone.now() - timedelta(seconds=1),
        "expires_at": record.expires_at,
        "created_at": record.created_at,
    }
    return DeliveryResult.objects.create(record=record, **given | fields)


def leave_redis(settings: Settings) -> None:
    """From here on, Redis is away: nothing listens where the queues' settings point."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    settings.REDIS_URL = url
