"""Decide whether a scanner is stalled, from what it reports about itself. Pure: rows and a clock in, a name out.

The overview, the scanner's page and /metrics report exactly these stalls:

- `dead`: no heartbeat for `silence_seconds()`, although the scanner was not stopped. A running scanner sends one every
  few seconds, whatever it does or waits for.
- `failing`, `waiting`: it is running, but could not look for new messages for `patience()`: MongoDB, the database or
  Redis is unavailable, or an index is missing; or its lane is full.
- `behind`: its oldest unread message is older than CHAT_LAG_ALARM_SECONDS.
- `deaf`: its change stream is open but missed messages that polling found, so they come as late as with polling.

A scanner that was stopped, or never started, is not stalled.
"""

from datetime import datetime, timedelta

from django.conf import settings

from chatscan.models import ScannerPosition
from chatscan.names import Mode, Stall

MIN_SECONDS = 30.0
PATIENT_INTERVALS = 3


def stall(row: ScannerPosition, now: datetime) -> Stall | None:
    """Return what is wrong with the scanner; None if nothing is."""
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
    """Return how long a scanner may be silent: one call to a server that does not answer may take that long."""
    return MIN_SECONDS + float(settings.MONGO_TIMEOUT_SECONDS)


def patience(row: ScannerPosition) -> timedelta:
    """Return how long a scanner may be unable to read: some of its intervals, and at least half a minute."""
    return timedelta(seconds=max(MIN_SECONDS, PATIENT_INTERVALS * row.interval_seconds))


def lag_seconds(row: ScannerPosition, now: datetime) -> float:
    """Return the age of the oldest unread message, as far as it is known.

    While the scanner can read, this is what it reports; otherwise the time since it last could.
    """
    if row.mode != Mode.STOPPED and stall(row, now) not in (Stall.DEAD, Stall.FAILING, Stall.WAITING):
        return row.lag_seconds
    return max(row.lag_seconds, (now - _last_look(row)).total_seconds())


def _last_look(row: ScannerPosition) -> datetime:
    return max(moment for moment in (row.scanned_at, row.started_at, row.created_at) if moment is not None)
