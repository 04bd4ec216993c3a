"""Who a broadcast is for: how many devices that is, and the audience itself, page by page.

A page is read by the directory's own cursor, so that nobody is listed twice and nobody who is there all the time
is left out, however long the listing takes and however often it is interrupted.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pushes import queues
from pushes.directory import UnlistableError, directory
from pushes.models import Broadcast
from pushes.submit import InvalidMessageError
from pushes.values import DeviceTarget, Recipient

EXPAND_DEVICES = 2_000
EXPAND_ACCOUNTS = 1_000


class Member(NamedTuple):
    """One of an audience: a device, or an account of a list, whose devices are looked up later."""

    account_id: str
    device: DeviceTarget | None = None

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return self.device.token if self.device else self.account_id


class Page(NamedTuple):
    """Some of the audience, where the next page begins, and whether there is none."""

    members: list[Member]
    cursor: int
    is_last: bool


def estimate(broadcast: Broadcast) -> int:
    """How many active devices the audience has right now. Raises submit.InvalidMessageError when the directory
    cannot list that audience, and directory.DirectoryError when it is away."""
    known = directory()
    if broadcast.audience_kind != Broadcast.AudienceKind.ACCOUNTS:
        _check_tag(broadcast)
        try:
            return known.count(broadcast.app, broadcast.platform, **_tag(broadcast))
        except UnlistableError as error:
            raise InvalidMessageError("audience_kind", broadcast.audience_kind, str(error)) from None
    return sum(
        not broadcast.platform or device.platform == broadcast.platform
        for chunk in queues.chunks(_listed(broadcast), EXPAND_ACCOUNTS)
        for devices in known.devices(chunk, broadcast.app).values()
        for device in devices
    )


def next_page(broadcast: Broadcast, *, pages: int = 1) -> Page:
    """What comes after the broadcast's cursor; `pages` at once where only a part of it will be used. Raises
    directory.UnlistableError."""
    if broadcast.audience_kind == Broadcast.AudienceKind.ACCOUNTS:
        ids = _listed(broadcast)
        cursor = min(len(ids), broadcast.cursor + EXPAND_ACCOUNTS * pages)
        return Page([Member(pk) for pk in ids[broadcast.cursor : cursor]], cursor, cursor >= len(ids))
    limit = EXPAND_DEVICES * pages
    found = directory().page(broadcast.app, broadcast.platform, after=broadcast.cursor, limit=limit, **_tag(broadcast))
    return Page([Member(device.account_id, device) for device in found.devices], found.cursor, found.is_last)


def recipients(broadcast: Broadcast, members: Sequence[Member]) -> list[Recipient]:
    """The members with what the verdict needs, looked up at once."""
    if not members:
        return []
    known = directory()
    ids = list(dict.fromkeys(member.account_id for member in members))
    facts = known.accounts(ids)
    if broadcast.audience_kind != Broadcast.AudienceKind.ACCOUNTS:
        return [Recipient(m.account_id, facts.get(m.account_id), False, (m.device,)) for m in members if m.device]
    devices = known.devices(ids, broadcast.app)
    return [Recipient(pk, facts.get(pk), False, tuple(devices.get(pk, ()))) for pk in ids]


def _listed(broadcast: Broadcast) -> list[str]:
    return list(dict.fromkeys(str(account_id) for account_id in broadcast.accounts))


def _check_tag(broadcast: Broadcast) -> None:
    if broadcast.audience_kind == Broadcast.AudienceKind.TAG and not broadcast.tag:
        raise InvalidMessageError("tag", broadcast.tag, "without a tag it would go to every device of the app")


def _tag(broadcast: Broadcast) -> dict[str, str]:
    """A directory of somebody's own that knows no tags need not know the word either."""
    return {"tag": broadcast.tag} if broadcast.audience_kind == Broadcast.AudienceKind.TAG else {}
