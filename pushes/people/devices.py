"""Devices and their history: register, move, deactivate, refuse, reactivate. Every change leaves a DeviceEvent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from pushes.models import Account, Device, DeviceEvent
from pushes.names import App, Channel, DeviceEventKind, Environment, Platform, Reason
from pushes.people import channels, installations, tags
from pushes.people.installations import MAX_DETAIL, Token
from pushes.storage import clocks
from pushes.text import device_tokens, ids, notes
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

#: How many devices are reactivated in one transaction.
RESTORE_CHUNK = 1_000
#: App, platform, environment and channel: the devices of one app key.
Scope = tuple[str, str, str, str]


class InvalidDeviceError(ValueError):
    """A field of a registration cannot be used. Names the field and the value (for a token only its length)."""

    def __init__(self, field_name: str, shown: str, reason: str) -> None:
        super().__init__(f"{field_name}={shown}: {reason}")
        self.field, self.shown, self.reason = field_name, shown, reason


@dataclass(frozen=True, slots=True)
class Registration:
    """One token of an app, as the phone reports it, with its ids and token normalised. `guessed_from` are the channels
    that were possible when none was said: then a known device keeps its own if it is among them."""

    account_id: str
    app: App
    platform: Platform
    environment: Environment
    token: str = field(repr=False)
    channel: Channel
    installation_id: str = ""
    guessed_from: tuple[Channel, ...] = ()


def registration(
    account_id: str,
    app: App,
    platform: Platform,
    environment: Environment,
    token: str,
    *,
    channel: str = "",
    installation_id: str = "",
    known: channels.Known | None = None,
) -> Registration:
    """Return what a phone reports, checked and normalised. Where no channel is said it follows from the app keys,
    `known` if the caller has read them. Raises InvalidDeviceError."""
    fitting: tuple[Channel, ...] = ()
    try:
        if channel.strip():
            of = channels.named(channel, platform)
        else:
            fitting = (known or channels.Known.read()).fitting(app, platform, environment)
            of = channels.meant(fitting, platform)
        return Registration(
            ids.account_id(account_id),
            app,
            platform,
            environment,
            _spelled(token, platform, of),
            of,
            _installation(installation_id),
            fitting,
        )
    except channels.ChannelError as error:
        raise InvalidDeviceError("channel", ids.shown(channel), str(error)) from None
    except ids.InvalidIdError as error:
        raise InvalidDeviceError("account_id", error.shown, error.reason) from None


def _spelled(token: str, platform: Platform, channel: Channel) -> str:
    try:
        return device_tokens.spelled(token, platform, channel)
    except device_tokens.InvalidTokenError as error:
        raise InvalidDeviceError("token", f"({len(token)} characters)", str(error)) from None


def _installation(text: str) -> str:
    try:
        return device_tokens.installation(text)
    except device_tokens.InvalidTokenError as error:
        raise InvalidDeviceError("installation_id", ids.shown(text), str(error)) from None


def register(
    account_id: str,
    app: App,
    platform: Platform,
    environment: Environment,
    token: str,
    *,
    channel: str = "",
    installation_id: str = "",
    wanted_tags: Iterable[str] | None = None,
) -> tuple[Device, DeviceEventKind | None]:
    """Register the device with `token` for `account_id`, and return it with what that changed (None: nothing).

    A missing account is created. A token that belonged to another account moves: the phone has a new owner, or its
    user has logged in as someone else. The other tokens of its installation follow (see `installations`). The device
    gets exactly the given tags; with None it keeps its tags, unless it moves, since they belonged to its former user,
    and a new token gets those of its installation. Raises InvalidDeviceError and tags.InvalidTagError.
    """
    wanted = registration(
        account_id, app, platform, environment, token, channel=channel, installation_id=installation_id
    )
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
        details: Sequence[Note] = [Note(Sentence.TO_ACCOUNT, account=wanted.account_id)]
        if words is None:
            words = installations.tags_of(wanted.app, wanted.installation_id, wanted.account_id)
    else:
        wanted = completed(wanted, device)
        event, details = change_of(device, wanted)
    apply(device, wanted)
    device.account = account
    device.save()
    if event is not None:
        DeviceEvent.objects.create(device=device, event=event, detail=event_detail(*details))
    if words is not None or event is DeviceEventKind.MOVED:
        tags.replace({device.pk: words or ()})
    settle_installations([device])
    return device, event


def settle_installations(registered: Iterable[Device]) -> None:
    """Retire and move the other tokens of these devices' installations."""
    retired = installations.settle(
        [Token(one.pk, one.app, one.installation_id, one.channel, one.account_id) for one in registered]
    )
    if retired:
        deactivate(retired, Reason.REPLACED)


def meant_by(token: str) -> Q:
    """Return the devices that `token` may mean when the platform is unknown."""
    condition = Q(token=token.strip())
    if apns := device_tokens.apple(token):
        condition |= Q(token=apns, platform=Platform.IOS)
    return condition


def installation_names(text: str) -> list[str]:
    """Return the installation ids that a typed text may be; none if it cannot be one."""
    try:
        found = device_tokens.installation(text)
    except device_tokens.InvalidTokenError:
        return []
    return [found] if found else []


def completed(wanted: Registration, device: Device) -> Registration:
    """Return the registration of a known device with what it does not say: its installation, and its channel if that
    was only guessed and may as well be the device's own."""
    channel = Channel(device.channel) if device.channel in wanted.guessed_from else wanted.channel
    return replace(wanted, channel=channel, installation_id=wanted.installation_id or device.installation_id)


def event_detail(*texts: Note | None) -> str:
    """Return notes as an event holds them."""
    return notes.stored(*filter(None, texts), most=MAX_DETAIL)


def change_of(device: Device, wanted: Registration) -> tuple[DeviceEventKind | None, Sequence[Note]]:
    """Return the event that registering an existing device adds to its history."""
    changes = ", ".join(
        f"{before} → {after}"
        for before, after in (
            (device.platform, wanted.platform),
            (device.environment, wanted.environment),
            (device.channel, wanted.channel),
        )
        if before != after
    )
    changed = [Note(Sentence.CHANGED, what=changes)] if changes else []
    if device.account_id != wanted.account_id:
        moved = Note(Sentence.FROM_TO, old=device.account_id, new=wanted.account_id)
        return DeviceEventKind.MOVED, [moved, *changed]
    if not device.is_active:
        return DeviceEventKind.REACTIVATED, [Note(Sentence.REGISTERED_AGAIN), *changed]
    return (DeviceEventKind.CORRECTED if changed else None), changed


def apply(device: Device, wanted: Registration) -> None:
    """Make the device what was registered; the caller saves it."""
    device.account_id = wanted.account_id
    device.platform, device.environment = wanted.platform, wanted.environment
    device.channel, device.installation_id = wanted.channel, wanted.installation_id
    revive(device)


def revive(device: Device) -> None:
    """Mark a device as alive; the caller saves it."""
    device.is_active = True
    device.deactivated_reason = ""
    device.deactivated_at = None
    device.seen_at = clocks.now()


def deactivate(device_ids: Iterable[int], reason: Reason | None, detail: Note | None = None) -> int:
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
        value, kept = reason.value if reason else "", event_detail(detail)
        Device.objects.filter(pk__in=active).update(
            is_active=False, deactivated_reason=value, deactivated_at=clocks.now()
        )
        DeviceEvent.objects.bulk_create(
            DeviceEvent(device_id=pk, event=DeviceEventKind.DEACTIVATED, reason=value, detail=kept) for pk in active
        )
    return len(active)


def refuse(owners: Mapping[str, str], scope: Scope, reason: Reason, detail: Note | None = None) -> int:
    """Remember refused tokens (token → account id) of a custom directory, as inactive devices of this channel.

    Missing accounts and devices are created, in a constant number of queries. Returns how many tokens were not
    refused before. `devices.reactivate` undoes it, one by one.
    """
    app, platform, environment, channel = scope
    owners = {device_tokens.stored(token, platform, channel): account_id for token, account_id in owners.items()}
    if not owners:
        return 0
    with transaction.atomic():
        # In one order everywhere, so that two workers never deadlock.
        Account.objects.bulk_create(
            [Account(account_id=account_id) for account_id in sorted(set(owners.values()))], ignore_conflicts=True
        )
        Device.objects.bulk_create(
            [
                Device(
                    account_id=owners[token],
                    app=app,
                    platform=platform,
                    environment=environment,
                    channel=channel,
                    token=token,
                )
                for token in sorted(owners)
            ],
            ignore_conflicts=True,
        )
        ours = Device.objects.filter(app=app, token__in=list(owners))
        # Apple's tokens may have been refused by another channel before.
        ours.filter(is_active=False).exclude(channel=channel).update(channel=channel)
        return deactivate(ours.values_list("pk", flat=True), reason, detail)


def reactivate(device: Device, *, by: str) -> bool:
    """Undo a deactivation; False when the device was active. `by` is the person, for the history."""
    with transaction.atomic():
        locked = Device.objects.select_for_update().get(pk=device.pk)
        if locked.is_active:
            return False
        revive(locked)
        locked.save()
        DeviceEvent.objects.create(
            device=locked, event=DeviceEventKind.REACTIVATED, detail=event_detail(Note(Sentence.BY, who=by))
        )
    device.refresh_from_db()
    return True


def refused_in(scope: Scope, since: datetime, until: datetime) -> "QuerySet[Device]":
    """Return the devices of this scope that a provider's refusal deactivated in that period."""
    app, platform, environment, channel = scope
    return Device.objects.filter(
        app=app,
        is_active=False,
        platform=platform,
        environment=environment,
        channel=channel,
        deactivated_reason=Reason.BAD_TOKEN,
        deactivated_at__range=(since, until),
    )


def restore(scope: Scope, since: datetime, until: datetime, *, by: str) -> int:
    """Undo these deactivations, a chunk at a time. Returns how many. `by` is the person, for the history."""
    refused, done = refused_in(scope, since, until), 0
    detail = event_detail(Note(Sentence.REFUSALS_UNDONE, who=by))
    while ids := list(refused.order_by("pk").values_list("pk", flat=True)[:RESTORE_CHUNK]):
        done += _restore(refused, ids, detail)
    return done


@transaction.atomic
def _restore(refused: "QuerySet[Device]", ids: Sequence[int], detail: str) -> int:
    locked = list(refused.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk", flat=True))
    Device.objects.filter(pk__in=locked).update(is_active=True, deactivated_reason="", deactivated_at=None)
    DeviceEvent.objects.bulk_create(
        DeviceEvent(device_id=pk, event=DeviceEventKind.REACTIVATED, detail=detail) for pk in locked
    )
    return len(locked)
