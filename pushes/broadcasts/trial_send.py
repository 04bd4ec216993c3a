"""Test sends: one message to a few named or picked devices, as separate pushes.

They are not counted in a broadcast's results, go to the front of their lane, and use one call per device. Otherwise
they are judged like real pushes: a phone whose account has logged out gets neither.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.db import transaction

from pushes.broadcasts import message
from pushes.distribution import distribute
from pushes.distribution.planned import Draft, Pending
from pushes.models import Broadcast, DeliveryResult, Device, PushRecord
from pushes.names import App, RecordStatus, WindowPolicy
from pushes.people.devices import meant_by
from pushes.people.directory import as_targets, directory
from pushes.storage import clocks
from pushes.submit import submit_all
from pushes.text import ids
from pushes.values import Audience, DeviceTarget, PushMessage, Recipient

MAX_NAMES = 20
SOURCE = "broadcast-test"
#: A test that arrived later than this would only surprise its recipient.
LIFETIME = timedelta(minutes=10)
SHOWN = 20
Devices = Mapping[App, Sequence[DeviceTarget]]


@dataclass(frozen=True, slots=True)
class Named:
    """The devices that names stand for, by app and each once, and the names that match nothing."""

    devices: dict[App, list[DeviceTarget]]
    unknown: list[str]

    @property
    def number(self) -> int:
        return sum(map(len, self.devices.values()))


def devices_of(apps: Iterable[App], names: Sequence[str]) -> Named:
    """Return the active devices in the apps that account ids or whole device tokens stand for. Raises
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
    """Return devices by name, in the order of the names; a name without a device in this app is absent."""
    of_accounts = directory().devices([ids.typed(name) for name in names], app)
    tokens = {name: _of_token(app, name) for name in names if not of_accounts.get(ids.typed(name))}
    meant = {name: of_accounts.get(ids.typed(name)) or tokens[name] for name in names}
    return {name: targets for name, targets in meant.items() if targets}


def _of_token(app: App, token: str) -> list[DeviceTarget]:
    return as_targets(Device.objects.filter(meant_by(token), app=app, is_active=True))


def send(message_for: Callable[[App], PushMessage], devices: Devices, *, window_policy: str = "") -> bool:
    """Send to exactly these devices now, each app's message to its devices. A message with the same identity is sent
    only once. Returns whether this call sent it. `window_policy` is that of a push record. Raises
    submit.InvalidMessageError and directory.DirectoryError."""
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
        # Distributed here, since only the picked devices are meant, not all devices of their accounts.
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
    """Send the broadcast's message as it is, at any hour; the same `nonce` sends it once. Returns and raises like
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
    """Return the message id of a broadcast's test pushes, by which they are found."""
    return f"broadcast-{broadcast.pk}-test"


def results(broadcast: Broadcast) -> list[DeliveryResult]:
    """Return the newest deliveries of the broadcast's tests."""
    records = list(
        PushRecord.objects.filter(message_id=message_id(broadcast), source=SOURCE)
        .order_by("-id")
        .values_list("id", flat=True)[:SHOWN]
    )
    return list(DeliveryResult.objects.filter(record_id__in=records).order_by("-id")[:SHOWN])
