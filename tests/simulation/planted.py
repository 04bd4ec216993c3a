"""Faults to put into the real code, one at a time: most of them the platform has had, or nearly. The simulation has to
find each. A fault is a piece of a function's text and what takes its place."""

import contextlib
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

from chatscan.scanning.scanner import Scanner
from pushes import submit
from pushes.distribution import distribute
from pushes.ledger import claims
from pushes.sending import job, outcomes, retry
from pushes.upkeep import sweep
from pushes.workers.pulse import Pulse
from tests.simulation import faults
from tests.simulation.world import Theme


class Planted(NamedTuple):
    """A fault: whose function it is in, and the text `old` that becomes `new`; and the theme of the schedules that
    look for it."""

    name: str
    owner: Any
    function: str
    old: str
    new: str
    theme: Theme


_MACHINE_LEASE = "lease_until = clocks.timezone.now() + __import__('datetime').timedelta(seconds=lease_seconds)"
_SWAPPED = "        _perform(work, [call for call in calls if call.rows])\n", "        begun = _begin(work, calls)\n"

PLANTED = (
    Planted(
        "the sweeper takes leases that end between two statements for the rest",
        sweep,
        "_expired_leases",
        "begun.exclude(is_asked_again | is_sent_again)",
        "begun",
        Theme((faults.HANG,), is_keyed=True, is_scanned=False, sweeper_lag=1.5),
    ),
    Planted(
        "who has lost a claim settles its rows all the same",
        claims,
        "settle",
        "_held(delivery_ids, claim_token)",
        "DeliveryResult.objects.filter(id__among=set(delivery_ids))",
        Theme((faults.FREEZE,), is_keyed=False, is_scanned=False),
    ),
    Planted(
        "calls are made although the claim was lost",
        claims,
        "begin",
        'return set(ours.filter(sent_at__isnull=False).values_list("id", flat=True))',
        "return set(delivery_ids)",
        Theme((faults.FREEZE,), is_keyed=False, is_scanned=False),
    ),
    Planted(
        "a call is written down after it was made",
        job,
        "_send_batch",
        "".join(_SWAPPED[::-1]),
        "".join(_SWAPPED),
        Theme((faults.DIE,), is_keyed=False, is_scanned=False),
    ),
    Planted(
        "a push whose job is lost is never swept",
        sweep,
        "_due_deliveries",
        "[*due, *lost,",
        "[*due,",
        Theme((faults.LOSE_JOB, faults.FLUSH)),
    ),
    Planted(
        "a message whose job is lost is never swept",
        sweep,
        "_stuck_records",
        "for kind, shard, record_id in found:",
        "for kind, shard, record_id in found[:0]:",
        Theme((faults.LOSE_JOB, faults.FLUSH)),
    ),
    Planted(
        "the database's clock is put back, and leases have no end",
        sweep,
        "_expired_leases",
        " | Q(lease_until__gt=longest)",
        "",
        Theme((faults.DIE, faults.DATABASE_CLOCK), is_scanned=False),
    ),
    Planted(
        "leases are written by the machine's clock",
        claims,
        "begin",
        "lease_until = clocks.database_time(now, seconds=lease_seconds)",
        _MACHINE_LEASE,
        Theme((faults.MACHINE_CLOCK, faults.CALL_SLOW), is_keyed=False, is_scanned=False),
    ),
    Planted("an order key stays after the end", outcomes, "_write", '"order_key": None, ', "", Theme()),
    Planted(
        "an order key goes before the end",
        outcomes,
        "_write",
        "if state.status in TERMINAL:",
        "if state:",
        Theme((faults.CALL_BUSY, faults.CALL_UNREACHED), is_scanned=False),
    ),
    Planted(
        "a later message is claimed first",
        claims,
        "_first_of_their_order",
        "first.get(ordered[pk]) == pk",
        "first",
        Theme((faults.CALL_BUSY, faults.CALL_UNREACHED), is_scanned=False),
    ),
    Planted(
        "a message overtakes one whose job is lost",
        distribute,
        "_take",
        "if not newest:",
        "if asked:",
        Theme((faults.LOSE_JOB, faults.REDIS_FAIL), is_scanned=False),
    ),
    Planted(
        "a retry forgets that the push may have arrived",
        retry,
        "_next",
        "_again(outcome, attempt, schedule, now, random)._replace(may_have_arrived=True)",
        "_again(outcome, attempt, schedule, now, random)",
        Theme((faults.CALL_LOST,), is_keyed=False, policy="resend"),
    ),
    Planted(
        "the sweeper forgets that a push may have arrived",
        sweep,
        "_expired_leases",
        ".update(may_have_arrived=True, **again)",
        ".update(**again)",
        Theme((faults.DIE, faults.FREEZE), is_keyed=False, policy="resend", is_scanned=False),
    ),
    Planted(
        "a call key is dropped after a lost answer",
        outcomes,
        "next_state",
        "return state._replace(keeps_call_key=True)",
        "return state",
        Theme((faults.CALL_LOST,), is_keyed=True),
    ),
    Planted(
        "the sweeper drops the call key of a lost call",
        sweep,
        "_expired_leases",
        "begun.filter(is_asked_again).update(**again)",
        'begun.filter(is_asked_again).update(call_key="", **again)',
        Theme((faults.DIE, faults.FREEZE), is_keyed=True, is_scanned=False),
    ),
    Planted(
        "what has left is given back",
        job,
        "_leaves",
        "work.left.update(row.id for row in call.rows)",
        "pass",
        Theme((faults.OUTAGE,), is_keyed=False, is_scanned=False),
    ),
    Planted(
        "a lease is renewed while the work hangs",
        Pulse,
        "complaint",
        "if still > max(MIN_STILL_SECONDS, settings.LEASE_SECONDS):",
        "if still < 0:",
        Theme((faults.HANG,), is_scanned=False),
    ),
    Planted(
        "a scanner's position is stored before its messages",
        Scanner,
        "_store",
        "@conflicts.repeated\n@transaction.atomic\n",
        "",
        Theme((faults.DIE, faults.OUTAGE), is_scanned=True),
    ),
    Planted(
        "a message that is submitted twice is two pushes",
        submit,
        "_store",
        "[message.dedupe_key for message in messages]",
        '[f"{message.dedupe_key[:20]}{now.timestamp():.0f}" for message in messages]',
        Theme((faults.LOST, faults.DIE)),
    ),
)


@contextlib.contextmanager
def plant(fault: Planted) -> Iterator[None]:
    """Have the fault in the code for the time of a `with`. Raises ValueError if the text is not there exactly once."""
    real = inspect.unwrap(getattr(fault.owner, fault.function))
    source = textwrap.dedent(inspect.getsource(real))
    if source.count(fault.old) != 1:
        raise ValueError(f"{fault.function}: {fault.old!r} is there {source.count(fault.old)} times")
    made: dict[str, Any] = {}
    exec(source.replace(fault.old, fault.new), real.__globals__, made)
    with mock.patch.object(fault.owner, fault.function, made[fault.function]):
        yield
