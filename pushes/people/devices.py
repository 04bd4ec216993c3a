"""Devices and their history: register, move, deactivate, refuse, reactivate. Every change leaves a DeviceEvent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from pushes.models import Account, Device, DeviceEvent
from pushes.names import App, DeviceEventKind, Environment, Platform, Reason
from pushes.people import tags
from pushes.storage import clocks
from pushes.text import device_tokens, ids

#: How many devices are reactivated in one transaction.
RESTORE_CHUNK = 1_000


class InvalidDeviceError(ValueError):
    """A field of a registration cannot be used. Names the field and the value (for a token only its length)."""

    def __init__(self, field_name: str, shown: str, reason: str) -> None:
        super().__init__(f"{field_name}={shown}: {reason}")
        self.field, self.shown, self.reason = field_name, shown, reason


@dataclass(frozen=True, slots=True)
class Registration:
    """One installation of an app, as the phone reports it; its account id and token are normalised."""

    account_id: str
    app: App
    platform: Platform
    environment: Environment
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        """Raises InvalidDeviceError."""
        try:
            object.__setattr__(self, "account_id", ids.account_id(self.account_id))
            object.__setattr__(self, "token", device_tokens.spelled(self.token, self.platform))
        except ids.InvalidIdError as error:
            raise InvalidDeviceError("account_id", error.shown, error.reason) from None
        except device_tokens.InvalidTokenError as error:
            raise InvalidDeviceError("token", f"({len(self.token)} characters)", str(error)) from None


def register(
    account_id: str,
    app: App,
    platform: Platform,
    environment: Environment,
    token: str,
    *,
    wanted_tags: Iterable[str] | None = None,
) -> tuple[Device, DeviceEventKind | None]:
    """Register the device with `token` for `account_id`, and return it with what that changed (None: nothing).

    A missing account is created. A token that belonged to another account moves: the phone has a new owner, or its
    user has logged in as someone else. The device gets exactly the given tags; with None it keeps its tags, unless it
    moves, since they belonged to its former user. Raises InvalidDeviceError and tags.InvalidTagError.
    """
    wanted = Registration(account_id, app, platform, environment, token)
    words = None if wanted_tags is None else tags.clean_all(wanted_tags)
    try:
        with transaction.atomic():
            return _register(wanted, words)
    except IntegrityError:
        # Another process has just inserted the account or the device: now it can be found.
        with transaction.atomic():
            return _register(wanted, words)


def _register(wanted: Registration, words: Sequence[str] | None) -> tuple[Device, DeviceEventKind | None]:
    account, _ = Account.objects.get_or_create(account_id=wanted.account_id)
    device = Device.objects.select_for_update().filter(token=wanted.token, app=wanted.app).first()
    if device is None:
        device = Device(app=wanted.app, token=wanted.token)
        event: DeviceEventKind | None = DeviceEventKind.REGISTERED
        detail = f"to {wanted.account_id}"
    else:
        event, detail = change_of(device, wanted)
    device.account, device.platform, device.environment = account, wanted.platform, wanted.environment
    revive(device)
    device.save()
    if event is not None:
        DeviceEvent.objects.create(device=device, event=event, detail=detail[:200])
    if words is not None or event is DeviceEventKind.MOVED:
        tags.replace({device.pk: words or ()})
    return device, event


def meant_by(token: str) -> Q:
    """Return the devices that `token` may mean when the platform is unknown."""
    condition = Q(token=token.strip())
    if apns := device_tokens.apple(token):
        condition |= Q(token=apns, platform=Platform.IOS)
    return condition


def change_of(device: Device, wanted: Registration) -> tuple[DeviceEventKind | None, str]:
    """Return the event that registering an existing device adds to its history."""
    if device.account_id != wanted.account_id:
        return DeviceEventKind.MOVED, f"from {device.account_id} to {wanted.account_id}"
    if not device.is_active:
        return DeviceEventKind.REACTIVATED, "registered again by the app"
    return None, ""


def revive(device: Device) -> None:
    """Mark a device as alive; the caller saves it."""
    device.is_active = True
    device.deactivated_reason = ""
    device.deactivated_at = None
    device.seen_at = clocks.now()


def deactivate(device_ids: Iterable[int], reason: Reason | None, detail: str = "") -> int:
    """Deactivate the devices that are active, in three queries however many there are.

    Returns how many were deactivated. `reason` is None when the app itself removed its device.
    """
    with transaction.atomic():
        active = list(
            Device.objects.select_for_update()
            .filter(pk__in=list(device_ids), is_active=True)
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        value = reason.value if reason else ""
        Device.objects.filter(pk__in=active).update(
            is_active=False, deactivated_reason=value, deactivated_at=clocks.now()
        )
        DeviceEvent.objects.bulk_create(
            DeviceEvent(device_id=pk, event=DeviceEventKind.DEACTIVATED, reason=value, detail=detail[:200])
            for pk in active
        )
    return len(active)


def refuse(
    owners: Mapping[str, str], app: str, platform: str, environment: str, reason: Reason, detail: str = ""
) -> int:
    """Remember refused tokens (token → account id) of a custom directory, as inactive devices.

    Missing accounts and devices are created, in a constant number of queries. Returns how many tokens were not
    refused before. `devices.reactivate` undoes it, one by one.
    """
    owners = {device_tokens.stored(token, platform): account_id for token, account_id in owners.items()}
    if not owners:
        return 0
    with transaction.atomic():
        # In one order everywhere, so that two workers never deadlock.
        Account.objects.bulk_create(
            [Account(account_id=account_id) for account_id in sorted(set(owners.values()))], ignore_conflicts=True
        )
        Device.objects.bulk_create(
            [
                Device(account_id=owners[token], app=app, platform=platform, environment=environment, token=token)
                for token in sorted(owners)
            ],
            ignore_conflicts=True,
        )
        ours = Device.objects.filter(app=app, token__in=list(owners)).values_list("pk", flat=True)
        return deactivate(ours, reason, detail)


def reactivate(device: Device, *, by: str) -> bool:
    """Undo a deactivation; False when the device was active. `by` is the person, for the history."""
    with transaction.atomic():
        locked = Device.objects.select_for_update().get(pk=device.pk)
        if locked.is_active:
            return False
        revive(locked)
        locked.save()
        DeviceEvent.objects.create(device=locked, event=DeviceEventKind.REACTIVATED, detail=f"by {by}"[:200])
    device.refresh_from_db()
    return True


def refused_in(scope: tuple[str, str, str], since: datetime, until: datetime) -> "QuerySet[Device]":
    """Return the devices of an app, platform and environment that a provider's refusal deactivated in that period."""
    app, platform, environment = scope
    return Device.objects.filter(
        app=app,
        is_active=False,
        platform=platform,
        environment=environment,
        deactivated_reason=Reason.BAD_TOKEN,
        deactivated_at__range=(since, until),
    )


def restore(scope: tuple[str, str, str], since: datetime, until: datetime, *, by: str) -> int:
    """Undo these deactivations, a chunk at a time. Returns how many. `by` is the person, for the history."""
    refused, done = refused_in(scope, since, until), 0
    while ids := list(refused.order_by("pk").values_list("pk", flat=True)[:RESTORE_CHUNK]):
        done += _restore(refused, ids, f"by {by}: the provider's refusals were undone"[:200])
    return done


@transaction.atomic
def _restore(refused: "QuerySet[Device]", ids: Sequence[int], detail: str) -> int:
    locked = list(refused.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk", flat=True))
    Device.objects.filter(pk__in=locked).update(is_active=True, deactivated_reason="", deactivated_at=None)
    DeviceEvent.objects.bulk_create(
        DeviceEvent(device_id=pk, event=DeviceEventKind.REACTIVATED, detail=detail) for pk in locked
    )
    return len(locked)
