"""The audience of a broadcast: its size in devices, and its members, page by page.

Pages follow the directory's own cursor. So no member is listed twice, and no member that stays in the audience is
missed, however long the listing takes and however often it is interrupted.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from pushes.distribution import distribute
from pushes.models import Broadcast, DeviceTag
from pushes.names import App
from pushes.people import installations
from pushes.people.directory import UnlistableError, directory
from pushes.storage import batches
from pushes.submit import InvalidMessageError
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.values import DeviceTarget, Recipient

EXPAND_DEVICES = 2_000
EXPAND_ACCOUNTS = 1_000


class Member(NamedTuple):
    """One member of an audience: a device, or an account of a list, whose devices are looked up later."""

    account_id: str
    device: DeviceTarget | None = None

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return self.device.token if self.device else self.account_id


class Page(NamedTuple):
    """Some members of the audience, the cursor of the next page, and whether this page is the last."""

    members: list[Member]
    cursor: int
    is_last: bool


def estimate(broadcast: Broadcast) -> int:
    """Return how many active devices the audience has now, in all its apps. Raises like `estimates`."""
    return sum(estimates(broadcast).values())


def estimates(broadcast: Broadcast) -> dict[App, int]:
    """Return the same by app. Raises submit.InvalidMessageError when the directory cannot list that audience, and
    directory.DirectoryError when the directory is unavailable."""
    return {app: _estimate(broadcast, app) for app in broadcast.apps}


def _estimate(broadcast: Broadcast, app: App) -> int:
    known = directory()
    if broadcast.audience_kind != Broadcast.AudienceKind.ACCOUNTS:
        _check_tag(broadcast)
        try:
            return known.count(app, broadcast.platform, **_tag(broadcast))
        except UnlistableError as error:
            raise InvalidMessageError("audience_kind", broadcast.audience_kind, error.note) from None
    return sum(
        _is_meant(broadcast, device)
        for chunk in batches.chunks(_listed(broadcast), EXPAND_ACCOUNTS)
        for devices in known.devices(chunk, app).values()
        for device in devices
    )


def next_page(broadcast: Broadcast, app: App, *, pages: int = 1) -> Page:
    """Return the page of one app's audience after the broadcast's cursor. `pages` pages are read at once where only a
    part of each will be used. Raises directory.UnlistableError."""
    if broadcast.audience_kind == Broadcast.AudienceKind.ACCOUNTS:
        ids = _listed(broadcast)
        cursor = min(len(ids), broadcast.cursor + EXPAND_ACCOUNTS * pages)
        return Page([Member(pk) for pk in ids[broadcast.cursor : cursor]], cursor, cursor >= len(ids))
    limit = EXPAND_DEVICES * pages
    found = directory().page(app, broadcast.platform, after=broadcast.cursor, limit=limit, **_tag(broadcast))
    return Page([Member(device.account_id, device) for device in found.devices], found.cursor, found.is_last)


def one_per_installation(
    broadcast: Broadcast, app: App, members: Sequence[Member], key_ids: distribute.KeyIds
) -> list[Member]:
    """Leave out the devices whose installation another member of the audience reaches, maybe one of another page.

    It costs a query only where the members name installations. (Of a list of accounts, all devices are looked up
    later, and chosen from.)
    """
    named = [member.device for member in members if member.device and member.device.installation_id]
    if not named:
        return list(members)
    candidates = dict.fromkeys([*named, *_of_the_same_accounts(broadcast, app, named)])
    reached = installations.one_each(list(candidates), partial(distribute.has_key, key_ids, app))
    passed_over = set(named).difference(reached)
    return [member for member in members if member.device not in passed_over]


def _of_the_same_accounts(broadcast: Broadcast, app: App, devices: Sequence[DeviceTarget]) -> list[DeviceTarget]:
    """Return the devices of these devices' accounts that are part of the audience, too."""
    known, found = directory(), list[DeviceTarget]()
    for chunk in batches.chunks(dict.fromkeys(device.account_id for device in devices), EXPAND_ACCOUNTS):
        found += [d for several in known.devices(chunk, app).values() for d in several if _is_meant(broadcast, d)]
    if broadcast.audience_kind != Broadcast.AudienceKind.TAG:
        return found
    ids = [device.device_id for device in found if device.device_id is not None]
    tagged = DeviceTag.objects.filter(app=app, tag=broadcast.tag, device__id__among=ids)
    with_tag = set(tagged.values_list("device_id", flat=True))
    return [device for device in found if device.device_id in with_tag]


def recipients(broadcast: Broadcast, app: App, members: Sequence[Member]) -> list[Recipient]:
    """Return the members with what the verdict needs in one app, looked up in bulk.

    In a list for both apps, an account without a device in this app is left out, unless it has no device in either
    app: then the first app reports it, once.
    """
    if not members:
        return []
    known = directory()
    ids = list(dict.fromkeys(member.account_id for member in members))
    facts = known.accounts(ids)
    if broadcast.audience_kind != Broadcast.AudienceKind.ACCOUNTS:
        return [Recipient(m.account_id, facts.get(m.account_id), False, (m.device,)) for m in members if m.device]
    devices = known.devices(ids, app)
    elsewhere = _without_a_device_here(broadcast, app, ids, devices)
    return [Recipient(pk, facts.get(pk), False, tuple(devices.get(pk, ()))) for pk in ids if pk not in elsewhere]


def _without_a_device_here(
    broadcast: Broadcast, app: App, ids: Sequence[str], devices: Mapping[str, Sequence[DeviceTarget]]
) -> set[str]:
    """Return the accounts of a list that another app reports on, because they have no device in this app."""
    missing = [pk for pk in ids if not any(_is_meant(broadcast, device) for device in devices.get(pk, ()))]
    first, *others = broadcast.apps
    if app != first or not missing:
        return set(missing)
    known = directory()
    return {
        pk
        for other in others
        for pk, found in known.devices(missing, other).items()
        if any(_is_meant(broadcast, device) for device in found)
    }


def _is_meant(broadcast: Broadcast, device: DeviceTarget) -> bool:
    return not broadcast.platform or device.platform == broadcast.platform


def _listed(broadcast: Broadcast) -> list[str]:
    return list(dict.fromkeys(str(account_id) for account_id in broadcast.accounts))


def _check_tag(broadcast: Broadcast) -> None:
    if broadcast.audience_kind == Broadcast.AudienceKind.TAG and not broadcast.tag:
        raise InvalidMessageError("tag", broadcast.tag, Note(Sentence.NO_TAG))


def _tag(broadcast: Broadcast) -> dict[str, str]:
    """Return the tag as a filter for the directory. A custom directory without tags need not know the parameter."""
    return {"tag": broadcast.tag} if broadcast.audience_kind == Broadcast.AudienceKind.TAG else {}
