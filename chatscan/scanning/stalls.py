"""When a scanner counts as stalled, from what it reports of itself. Pure: rows and a clock in, a name out.

Somebody is warned of exactly this, on the overview, on the scanner's page and in /metrics:

- `dead`: it has given no sign of life for `silence_seconds()`, although nobody stopped it. A running scanner gives
  one every few seconds, whatever it does or waits for.
- `failing`, `waiting`: it lives, but has not been able to look for new messages for `patience()`: MongoDB, the
  database or Redis is away, an index is missing; or its lane is too deep.
- `behind`: the oldest message that it has not read is older than CHAT_LAG_ALARM_SECONDS.
- `deaf`: its change stream is open and said nothing of messages that were read all the same, so they come as late
  as with polling.

A scanner that was stopped, or that never started, is none of these.
"""

from datetime import datetime, timedelta

from django.conf import settings

from chatscan.models import ScannerPosition
from chatscan.names import Mode, Stall

MIN_SECONDS = 30.0
PATIENT_INTERVALS = 3


def stall(row: ScannerPosition, now: datetime) -> Stall | None:
    """What is wrong with the scanner; None while all is well."""
    if row.mode == Mode.STOPPED:
        return None
    if now - (row.heartbeat_at or row.created_at) > timedelta(seconds=silence_seconds()):
        return Stall.DEAD
    if now - _last_look(row) > patience(row):
        return Stall.WAITING if row.mode == Mode.BACKLOGGED else Stall.FAILING
    if row.lag_seconds > settings.CHAT_LAG_ALARM_SECONDS:
        return Stall.BEHIND
    return Stall.DEAF if row.mode == Mode.DEAF else None


def silence_seconds() -> float:
    """How long a scanner may say nothing: one call to a server that does not answer may keep it that long."""
    return MIN_SECONDS + float(settings.MONGO_TIMEOUT_SECONDS)


def patience(row: ScannerPosition) -> timedelta:
    """How long it may be unable to look: some of its intervals, and at least half a minute."""
    return timedelta(seconds=max(MIN_SECONDS, PATIENT_INTERVALS * row.interval_seconds))


def lag_seconds(row: ScannerPosition, now: datetime) -> float:
    """Age of the oldest message not yet read, as far as anybody can know.

    That is what the scanner says while it looks; since it last could, there may have been messages at any time.
    """
    if row.mode != Mode.STOPPED and stall(row, now) not in (Stall.DEAD, Stall.FAILING, Stall.WAITING):
        return row.lag_seconds
    return max(row.lag_seconds, (now - _last_look(row)).total_seconds())


def _last_look(row: ScannerPosition) -> datetime:
    return max(moment for moment in (row.scanned_at, row.started_at, row.created_at) if moment is not None)
