"""The figures of a broadcast's progress page."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from pushes.broadcasts import canary, progress
from pushes.broadcasts.progress import Progress
from pushes.console.delivery_log.pushes import deliveries_url
from pushes.console.site.marks import STATUS_COLOURS
from pushes.models import Broadcast
from pushes.names import BroadcastStatus, Status
from pushes.storage import clocks

#: Too early to divide by.
MIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Part:
    """One status: the number of deliveries, and their share of the bar; `url` leads to the deliveries in the log.
    Devices that were never listed are not in the log, and have no `url`."""

    label: str
    colour: str
    count: int
    percent: float
    url: str


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures. `expected` and `done` count devices: an estimate until the audience is known exactly.
    `without_device` counts accounts of a list that have a row and no device; the skipped include them. Rate and time
    left are None if unknown."""

    parts: list[Part]
    expected: int
    done: int
    percent: float
    per_second: float | None
    seconds_left: int | None
    is_expanded: bool
    without_device: int


def figures(broadcast: Broadcast) -> Figures:
    now = progress.progress(broadcast.pk)
    expected = now.devices if now.is_expanded else max(now.devices, broadcast.estimate or 0)
    done = now.done - now.without_device
    per_second = _rate(broadcast, now)
    left = expected - done
    return Figures(
        parts=_parts(broadcast, now, expected),
        expected=expected,
        done=done,
        percent=_percent(done, expected),
        per_second=per_second,
        seconds_left=round(left / per_second) if per_second and left and not canary.is_waiting(broadcast) else None,
        is_expanded=now.is_expanded,
        without_device=now.without_device,
    )


def _parts(broadcast: Broadcast, now: Progress, expected: int) -> list[Part]:
    whole = expected + now.without_device
    parts = [
        Part(
            str(status.label),
            STATUS_COLOURS[status],
            now.counts[status],
            _percent(now.counts[status], whole),
            deliveries_url(broadcast=broadcast.pk, status__exact=status.value),
        )
        for status in Status
        if now.counts.get(status)
    ]
    if now.waiting:
        url = deliveries_url(broadcast=broadcast.pk, live=1)
        colour, percent = STATUS_COLOURS[Status.PENDING], _percent(now.waiting, whole)
        parts.append(Part(_("in progress"), colour, now.waiting, percent, url))
    unlisted = expected - now.devices
    if unlisted > 0 and broadcast.status == BroadcastStatus.CANCELLED:
        parts.append(Part(_("not sent"), "", unlisted, _percent(unlisted, whole), ""))
    return parts


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _rate(broadcast: Broadcast, now: Progress) -> float | None:
    """Deliveries per second in the last seconds, during the send: an earlier pause or window says nothing about the
    time left."""
    if broadcast.status != BroadcastStatus.SENDING or broadcast.started_at is None or not now.recent:
        return None
    spent = (clocks.now() - broadcast.started_at).total_seconds()
    return now.recent / min(spent, now.recent_seconds) if spent > MIN_SECONDS else None
