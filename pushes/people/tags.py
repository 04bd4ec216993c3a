"""Words on devices that broadcasts can be addressed to: what one looks like, and how they get there."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from django.db import transaction

from pushes.models import Device, DeviceTag
from pushes.storage import bulk
from pushes.text import ids

MAX_TAG = 32
MAX_TAGS = 20
ACCEPTED = f"1 to {MAX_TAG} letters, digits, Chinese characters, or _ - . :"
_TAG = re.compile(rf"[\w.:-]{{1,{MAX_TAG}}}")


class _Row(NamedTuple):
    """A DeviceTag's columns."""

    device_id: int
    app: str
    tag: str


class InvalidTagError(ValueError):
    """A word that is no tag, or too many of them; says what is accepted."""


def clean(tag: str) -> str:
    """The one way to write this tag. Raises InvalidTagError."""
    cleaned = spelled(tag)
    if not _TAG.fullmatch(cleaned) or ids.unseen(cleaned):
        raise InvalidTagError(f"{ids.shown(tag)} is no tag: {ACCEPTED}")
    return cleaned


def spelled(text: str) -> str:
    """Lower case in NFKC, where full-width letters and composed characters have one form; no blanks around it."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).strip().lower())


def words(text: str) -> list[str]:
    """The tags in one cell of a file, parted by blanks or |."""
    return unicodedata.normalize("NFKC", text).replace("|", " ").split()


def clean_all(given: Iterable[str]) -> tuple[str, ...]:
    """Each once, in order. Raises InvalidTagError."""
    cleaned = tuple(sorted({clean(tag) for tag in given}))
    if len(cleaned) > MAX_TAGS:
        raise InvalidTagError(f"{len(cleaned)} tags: a device has at most {MAX_TAGS}")
    return cleaned


def replace(wanted: Mapping[int, Iterable[str]]) -> int:
    """Give each device (by id) exactly these tags, in few queries however many devices they are. Returns how
    many devices that changed."""
    found: dict[int, set[str]] = {device_id: set() for device_id in wanted}
    with transaction.atomic():
        # The devices' rows are locked, so that two calls about one device come one after the other.
        apps = dict(Device.objects.select_for_update().filter(pk__in=wanted).order_by("pk").values_list("pk", "app"))
        for device_id, tag in DeviceTag.objects.filter(device_id__in=apps).values_list("device_id", "tag"):
            found[device_id].add(tag)
        gone = [(pk, tag) for pk in apps for tag in found[pk] - set(wanted[pk])]
        new = [_Row(pk, apps[pk], tag) for pk in apps for tag in sorted(set(wanted[pk]) - found[pk])]
        for tag in {tag for _, tag in gone}:
            DeviceTag.objects.filter(tag=tag, device_id__in=[pk for pk, other in gone if other == tag]).delete()
        bulk.insert_rows(DeviceTag, new, ignore_conflicts=True)
    return len({pk for pk, _ in gone} | {row.device_id for row in new})


def change(device_ids: Iterable[int], *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> int:
    """Give the devices these tags, take those away, and leave the others. Returns how many devices that changed.
    Raises InvalidTagError, with nothing changed, when one would have too many."""
    added, removed = {clean(tag) for tag in add}, set(remove)
    with transaction.atomic():
        locked = Device.objects.select_for_update().filter(pk__in=list(device_ids)).order_by("pk")
        wanted: dict[int, set[str]] = {pk: set() for pk in locked.values_list("pk", flat=True)}
        for device_id, tag in DeviceTag.objects.filter(device_id__in=wanted).values_list("device_id", "tag"):
            wanted[device_id].add(tag)
        return replace({pk: clean_all((found | added) - removed) for pk, found in wanted.items()})


def of_device(device_id: int) -> list[str]:
    return list(DeviceTag.objects.filter(device_id=device_id).order_by("tag").values_list("tag", flat=True))


def known(app: str, *, most: int = 100) -> list[str]:
    """The app's tags in order, at most so many: one step in the index for each, however many devices have it."""
    found: list[str] = []
    while len(found) < most:
        later = DeviceTag.objects.filter(app=app, tag__gt=found[-1] if found else "")
        tag = later.order_by("tag").values_list("tag", flat=True).first()
        if tag is None:
            break
        found.append(tag)
    return found
