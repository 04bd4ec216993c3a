"""The progress of a broadcast, from its tallies."""

from dataclasses import dataclass

from pushes.ledger import tallies
from pushes.models import Broadcast, BroadcastTally
from pushes.storage import clocks

#: The sending rate is measured over this many seconds.
RECENT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of deliveries by the status in which they ended. `total` grows until `is_expanded`; `recent` ended within
    the last `recent_seconds`."""

    counts: dict[str, int]
    total: int
    is_expanded: bool
    recent: int = 0
    recent_seconds: float = RECENT_SECONDS
    #: How many of these are for accounts without a device: the audience is counted in devices.
    without_device: int = 0

    @property
    def done(self) -> int:
        return sum(self.counts.values())

    @property
    def waiting(self) -> int:
        """Deliveries that are being sent, or are still unsent."""
        return max(0, self.total - self.done)

    @property
    def devices(self) -> int:
        return self.total - self.without_device


def progress(broadcast_id: int) -> Progress:
    """Return the progress from the broadcast's tallies, which cost the same for any number of deliveries, and outlive
    them. Raises Broadcast.DoesNotExist."""
    is_expanded = Broadcast.objects.values_list("is_expanded", flat=True).get(pk=broadcast_id)
    now = clocks.now()
    since = tallies.seconds_ago(now, RECENT_SECONDS)
    found = tallies.by_event(broadcast_id, recent_since=since)
    devices, _ = found.pop(BroadcastTally.MADE, (0, 0))
    others, _ = found.pop(BroadcastTally.WITHOUT_DEVICE, (0, 0))
    found.pop(BroadcastTally.DOUBTED, None)
    return Progress(
        counts={status: number for status, (number, _) in found.items()},
        total=devices + others,
        is_expanded=is_expanded,
        recent=sum(late for _, late in found.values()),
        recent_seconds=(now - since).total_seconds(),
        without_device=others,
    )
