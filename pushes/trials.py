"""Test sends: a broadcast's message to a few devices that somebody names, as a push of its own.

It counts for nothing in the broadcast, goes at once (in front of its lane, whatever the hour), and is otherwise
judged like the broadcast itself: a phone whose account has logged out gets neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from pushes import broadcasts, distribute
from pushes.directory import directory
from pushes.drafts import Pending
from pushes.models import Broadcast, DeliveryResult, Device, PushRecord
from pushes.names import Environment, Platform, RecordStatus, WindowPolicy
from pushes.submit import submit
from pushes.values import Audience, DeviceTarget, Recipient

MOST_NAMES = 20
SOURCE = "broadcast-test"
#: A test that could not be sent by then would only surprise whoever gets it.
LIFETIME = timedelta(minutes=10)
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Named:
    """What names stand for: devices, each once, and the names that stand for none."""

    devices: list[DeviceTarget]
    unknown: list[str]


def devices_of(broadcast: Broadcast, names: Sequence[str]) -> Named:
    """The active devices in the broadcast's app that are meant by account ids or whole device tokens. Raises
    directory.DirectoryError."""
    of_accounts = directory().devices(list(names), broadcast.app)
    tokens = [name for name in names if not of_accounts.get(name)]
    rows = Device.objects.filter(app=broadcast.app, is_active=True, token__in=tokens)
    of_tokens = {
        token: DeviceTarget(pk, account_id, Platform(platform), Environment(environment), token)
        for pk, account_id, platform, environment, token in rows.values_list(
            "pk", "account_id", "platform", "environment", "token"
        )
    }
    found: dict[str, DeviceTarget] = {}
    unknown: list[str] = []
    for name in names:
        meant = of_accounts.get(name) or ([of_tokens[name]] if name in of_tokens else [])
        found.update((device.token, device) for device in meant)
        if not meant:
            unknown.append(name)
    return Named(list(found.values()), unknown)


def send(broadcast: Broadcast, devices: Sequence[DeviceTarget], *, nonce: str) -> bool:
    """Send now; the same `nonce` twice sends once. Returns whether this call did. Raises
    submit.InvalidMessageError."""
    now = timezone.now()
    message = replace(
        broadcasts.message_of(broadcast),
        audience=Audience(tuple(dict.fromkeys(device.account_id for device in devices))),
        source=SOURCE,
        identity=f"{broadcast.pk}:{nonce}",
        message_id=message_id(broadcast),
        expires_at=now + LIFETIME,
        broadcast_id=None,
    )
    with transaction.atomic():
        result = submit([message], now=now)
        [record_id] = result.record_ids
        if not result.accepted:
            return False
        # Distributed right here, since only the devices named are meant, not all that their accounts have.
        PushRecord.objects.filter(pk=record_id).update(
            status=RecordStatus.DISTRIBUTED, distributed_at=now, window_policy=WindowPolicy.SEND, one_by_one=True
        )
        record = Pending(*PushRecord.objects.values_list(*Pending._fields).get(pk=record_id))
        batch = broadcasts.look_up(broadcast.push_type, WindowPolicy.SEND, now)
        facts = directory().accounts(list(record.accounts))
        people = [Recipient(d.account_id, facts.get(d.account_id), False, (d,)) for d in devices]
        drafts = [draft for person in people for draft in distribute.drafts_for(record, person, batch)]
        distribute.store(drafts, [record_id], now, is_urgent=True)
    return True


def message_id(broadcast: Broadcast) -> str:
    """What the test pushes of a broadcast are found by."""
    return f"broadcast-{broadcast.pk}-test"


def results(broadcast: Broadcast) -> list[DeliveryResult]:
    """The newest deliveries of its tests."""
    records = list(
        PushRecord.objects.filter(message_id=message_id(broadcast), source=SOURCE)
        .order_by("-id")
        .values_list("id", flat=True)[:SHOWN]
    )
    return list(DeliveryResult.objects.filter(record_id__in=records).order_by("-id")[:SHOWN])
