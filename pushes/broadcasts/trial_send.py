"""Test sends: one message to a few devices that somebody names or picks, as pushes of their own.

They count for nothing elsewhere, go at once in front of their lane, a call for each device, and are otherwise judged
like the real thing: a phone whose account has logged out gets neither.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.db import transaction

from pushes.broadcasts import message
from pushes.distribution import distribute
from pushes.distribution.planned import Draft, Pending
from pushes.models import Broadcast, DeliveryResult, Device, PushRecord
from pushes.names import App, Environment, Platform, RecordStatus, WindowPolicy
from pushes.people.devices import meant_by
from pushes.people.directory import directory
from pushes.storage import clocks
from pushes.submit import submit_all
from pushes.text import ids
from pushes.values import Audience, DeviceTarget, PushMessage, Recipient

MAX_NAMES = 20
SOURCE = "broadcast-test"
#: A test that could not be sent by then would only surprise whoever gets it.
LIFETIME = timedelta(minutes=10)
SHOWN = 20
Devices = Mapping[App, Sequence[DeviceTarget]]


@dataclass(frozen=True, slots=True)
class Named:
    """What names stand for: devices by app, each once, and the names that stand for none."""

    devices: dict[App, list[DeviceTarget]]
    unknown: list[str]

    @property
    def number(self) -> int:
        return sum(map(len, self.devices.values()))


def devices_of(apps: Iterable[App], names: Sequence[str]) -> Named:
    """The active devices in the apps that are meant by account ids or whole device tokens. Raises
    directory.DirectoryError."""
    found: dict[App, list[DeviceTarget]] = {}
    known: set[str] = set()
    for app in apps:
        meant = _devices_in(app, names)
        known.update(meant)
        devices = {device.token: device for targets in meant.values() for device in targets}
        if devices:
            found[app] = list(devices.values())
    return Named(found, [name for name in names if name not in known])


def _devices_in(app: App, names: Sequence[str]) -> dict[str, list[DeviceTarget]]:
    """By name, in the order of the names; one that means nothing in this app is absent."""
    of_accounts = directory().devices([ids.typed(name) for name in names], app)
    tokens = {name: _of_token(app, name) for name in names if not of_accounts.get(ids.typed(name))}
    meant = {name: of_accounts.get(ids.typed(name)) or tokens[name] for name in names}
    return {name: targets for name, targets in meant.items() if targets}


def _of_token(app: App, token: str) -> list[DeviceTarget]:
    rows = Device.objects.filter(meant_by(token), app=app, is_active=True)
    return [
        DeviceTarget(pk, account_id, Platform(platform), Environment(environment), stored)
        for pk, account_id, platform, environment, stored in rows.values_list(
            "pk", "account_id", "platform", "environment", "token"
        )
    ]


def send(message_for: Callable[[App], PushMessage], devices: Devices, *, window_policy: str = "") -> bool:
    """Send to these very devices, now, each app's the message made for it, whose identity decides: the same twice is
    sent once. Returns whether this call did. `window_policy` as in a push record. Raises submit.InvalidMessageError
    and directory.DirectoryError."""
    now = clocks.now()
    messages = [
        replace(
            message_for(app),
            audience=Audience(tuple(dict.fromkeys(device.account_id for device in targets))),
            expires_at=now + LIFETIME,
        )
        for app, targets in devices.items()
    ]
    with transaction.atomic():
        result = submit_all(messages, now=now)
        if not result.accepted:
            return False
        # Distributed right here, since only the devices picked are meant, not all that their accounts have.
        records = PushRecord.objects.filter(pk__in=result.record_ids)
        records.update(
            status=RecordStatus.DISTRIBUTED, distributed_at=now, window_policy=window_policy, one_by_one=True
        )
        batch = message.look_up(messages[0].push_type, window_policy, now)
        pending = [Pending(*row) for row in records.order_by("id").values_list(*Pending._fields)]
        drafts = [draft for record in pending for draft in _drafts(record, devices[App(record.app)], batch)]
        distribute.store(drafts, result.record_ids, now, is_urgent=True)
    return True


def _drafts(record: Pending, targets: Sequence[DeviceTarget], batch: distribute.Batch) -> list[Draft]:
    facts = directory().accounts(list(record.accounts))
    people = [Recipient(d.account_id, facts.get(d.account_id), False, (d,)) for d in targets]
    return [draft for person in people for draft in distribute.drafts_for(record, person, batch)]


# --- tests of a broadcast ------------------------------------------------------------------------


def send_broadcast(broadcast: Broadcast, devices: Devices, *, nonce: str) -> bool:
    """The broadcast's message as it is, at whatever hour; the same `nonce` twice sends once. Returns and raises like
    `send`."""

    def message_for(app: App) -> PushMessage:
        return replace(
            message.message_of(broadcast, app),
            source=SOURCE,
            identity=f"{broadcast.pk}:{nonce}:{app}",
            message_id=message_id(broadcast),
            broadcast_id=None,
        )

    return send(message_for, devices, window_policy=WindowPolicy.SEND)


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
