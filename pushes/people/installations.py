"""Installations: one copy of an app on one phone, which may have a token of each of several channels.

The app names its installation. A new token of a channel retires that channel's earlier one, and a push takes one of
the installation's channels: the first in CHANNEL_PREFERENCE that has an app key.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import transaction

from pushes.models import Device, DeviceEvent, DeviceTag
from pushes.names import DeviceEventKind
from pushes.people import tags
from pushes.text import notes
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.values import DeviceTarget

#: The width of an event's detail.
MAX_DETAIL = 200


class Token(NamedTuple):
    """A device as far as its installation is concerned."""

    device_id: int
    app: str
    installation_id: str
    channel: str
    account_id: str


class Changes(NamedTuple):
    """What registering tokens means for the other tokens of their installations: those that a newer one replaces, and
    those that follow to another account, with the accounts from and to which they go."""

    retired: list[int]
    moved: dict[int, tuple[str, str]]


def one_each(devices: Sequence[DeviceTarget], has_key: Callable[[DeviceTarget], bool]) -> list[DeviceTarget]:
    """Leave out the devices whose installation is reached through another one of `devices`."""
    if len(devices) < 2 or not any(device.installation_id for device in devices):
        return list(devices)
    places = {channel: place for place, channel in enumerate(settings.CHANNEL_PREFERENCE)}
    chosen: dict[str, DeviceTarget] = {}

    def rank(device: DeviceTarget) -> tuple[bool, int, int, str]:
        # Of two tokens of one channel the newer one.
        return not has_key(device), places.get(device.channel, len(places)), -(device.device_id or 0), device.token

    for device in devices:
        name = device.installation_id
        if name:
            chosen[name] = min(chosen.get(name, device), device, key=rank)
    return [device for device in devices if chosen.get(device.installation_id, device) == device]


def changes(registered: Sequence[Token], others: Sequence[Token]) -> Changes:
    """Return what registering these tokens, in this order, means for `others`, the active ones of their installations.

    The phone has one user: a token of another channel follows to the account that registered last.
    """
    owners = {(token.app, token.installation_id): token.account_id for token in registered}
    newest = {(token.app, token.installation_id, token.channel): token.device_id for token in registered}
    found = Changes([], {})
    for token in others:
        account_id = owners.get((token.app, token.installation_id))
        if account_id is None:
            continue
        if newest.get((token.app, token.installation_id, token.channel), token.device_id) != token.device_id:
            found.retired.append(token.device_id)
        elif account_id != token.account_id:
            found.moved[token.device_id] = token.account_id, account_id
    return found


@transaction.atomic
def settle(registered: Sequence[Token]) -> list[int]:
    """Have the other tokens of the installations follow, after these were registered. Returns the ids of the tokens
    that were replaced, for the caller to deactivate."""
    named = [token for token in registered if token.installation_id]
    if not named:
        return []
    rows = Device.objects.select_for_update().filter(
        installation_id__in={token.installation_id for token in named}, is_active=True
    )
    others = [Token(*row) for row in rows.order_by("pk").values_list("pk", *Token._fields[1:])]
    found = changes(named, others)
    for account_id in {after for _, after in found.moved.values()}:
        ids = [pk for pk, (_, after) in found.moved.items() if after == account_id]
        Device.objects.filter(pk__in=ids).update(account_id=account_id)
    DeviceEvent.objects.bulk_create(
        DeviceEvent(device_id=pk, event=DeviceEventKind.MOVED, detail=_moved(before, after))
        for pk, (before, after) in found.moved.items()
    )
    # The tags belonged to the former user.
    tags.replace(dict.fromkeys(found.moved, ()))
    return found.retired


def _moved(before: str, after: str) -> str:
    return notes.stored(Note(Sentence.FROM_TO, old=before, new=after), most=MAX_DETAIL)


def tags_of(app: str, installation_id: str, account_id: str) -> list[str]:
    """Return the tags of the account's active tokens of the installation: a new token of the same phone gets them."""
    if not installation_id:
        return []
    same = DeviceTag.objects.filter(
        device__installation_id=installation_id, device__app=app, device__is_active=True, device__account=account_id
    )
    return list(same.order_by("tag").values_list("tag", flat=True).distinct())
