"""One fault on a fleet, under load: what was lost or doubled, and how long healthy machines took to take over."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from tests.chaos.case import Case, Harm, Verdict
from tests.chaos.producers import Plan
from tests.clusters.fleet import Fleet
from tests.clusters.host_faults import Fault

#: What is asked: whatever a machine held or was to do, others do in this time.
GOAL_SECONDS = 30.0
DOUBLED = ("sent_twice", "stored_twice", "delivered_twice")
LOST = ("lost", "unfinished", "undistributed", "without_deliveries", "accepted_not_received")


@dataclass(frozen=True, slots=True)
class Load:
    """How many messages of each kind come in a second, how many seconds pass `before` the fault begins (at least, at
    most), and for how many it goes on `after` its end."""

    system: float = 30
    group: float = 1
    private: float = 5
    before: tuple[float, float] = (2.0, 4.0)
    after: float = 4.0

    def plan(self, fault: Fault) -> Plan:
        """As much as the fault needs."""
        seconds = self.before[1] + fault.seconds + self.after
        system, group, private = (round(rate * seconds) for rate in (self.system, self.group, self.private))
        return Plan(system, group, private, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one fault. `take_over_seconds` is the longest that a message took from its hand-over, or from the
    fault's beginning if it was handed over before, until all of its pushes were settled."""

    what: str
    how: str
    #: Deliveries, each to one device.
    pushes: int
    lost: int
    doubled: int
    unknown: int
    others: dict[str, object]
    take_over_seconds: float
    restarts: int
    #: The message that took longest, and what became of it.
    slowest: str = ""

    @property
    def is_goal_met(self) -> bool:
        return not (self.lost or self.doubled or self.others) and self.take_over_seconds < GOAL_SECONDS


@dataclass(slots=True)
class Trial(Case):
    """A run with one fault."""

    began_at: float = field(default=0.0)
    how: str = field(default="")

    def suffer(self, fault: Fault, *, after_seconds: float) -> Finding:
        """Raises what a server raises that does not come back."""
        fault.prepare()
        at = after_seconds
        self._harms = [Harm(at, fault.what, lambda: self._begin(fault)), Harm(at + fault.seconds, "ok", fault.end)]
        self.senders_cut, self.faulty_calls = 2 * self._senders, fault.lost_answers
        try:
            verdict = self.run()
            return self._finding(fault, verdict)
        finally:
            fault.recover()

    def _begin(self, fault: Fault) -> None:
        self.began_at = time.time()
        self.how = str(fault.begin() or "")

    def _finding(self, fault: Fault, verdict: Verdict) -> Finding:
        audited, numbers = verdict.audit.faults, verdict.audit.numbers
        lost, doubled = (sum(audited[name]["count"] for name in names if name in audited) for names in (LOST, DOUBLED))
        others = {name: found for name, found in verdict.faults.items() if name not in (*LOST, *DOUBLED)}
        # Nothing was wrong with the provider.
        others |= {name: numbers[name] for name in ("failed", "expired") if numbers.get(name)}
        seconds, message_id = self._take_over(is_complete=not lost)
        return Finding(
            fault.what,
            self.how,
            pushes=numbers["deliveries"],
            lost=lost,
            doubled=doubled,
            unknown=numbers.get("unknown", 0),
            others=others,
            take_over_seconds=round(seconds, 1),
            restarts=verdict.restarts,
            slowest=f"{message_id}: {self._story(message_id)}" if message_id else "",
        )

    def _take_over(self, *, is_complete: bool) -> tuple[float, str]:
        """How long it took, and which message was the slowest. Raises RuntimeError when a message cannot be found that
        the auditor has found."""
        handed_over, settled, now = self.handed_over.at, self._settled(), time.time()
        if is_complete and None in settled.values():
            raise RuntimeError(f"nothing was lost, but among {len(settled)} messages some are not settled")
        return max(
            ((at or now) - max(handed_over[message_id], self.began_at), message_id)
            for message_id, at in settled.items()
        )

    def _story(self, message_id: str) -> str:
        [(accepted, distributed, last, first_sent, finished, attempts, doubtful)] = self._rows(
            "SELECT r.created_at, r.distributed_at, MAX(d.created_at), MIN(d.sent_at), MAX(d.finished_at), "
            "MAX(d.attempts), SUM(d.may_have_arrived) FROM pushes_pushrecord r "
            f"JOIN pushes_deliveryresult d ON d.record_id = r.id WHERE r.message_id = '{message_id}'"
        )
        times = {
            "accepted": accepted,
            "distributed": distributed,
            "rows": last,
            "sent": first_sent,
            "settled": finished,
        }
        since = [f"{name} {_unix(at) - self.began_at:+.1f} s" for name, at in times.items() if at]
        return f"{', '.join(since)} since the fault, {attempts} attempts, {doubtful} rows in doubt"

    def _settled(self) -> dict[str, float | None]:
        """When the last push of each message handed over was settled, in Unix seconds; None if it is not."""
        rows = self._rows(
            "SELECT r.message_id, MAX(d.finished_at), COUNT(*) - COUNT(d.finished_at) FROM pushes_pushrecord r "
            f"JOIN pushes_deliveryresult d ON d.record_id = r.id WHERE r.message_id LIKE 'producer-{self.name}-%' "
            "GROUP BY r.message_id"
        )
        found = dict.fromkeys(self.handed_over.at)
        for message_id, last, open_rows in rows:
            if message_id in found and not open_rows:
                found[message_id] = _unix(last)
        return found


def _unix(at: datetime) -> float:
    """Django keeps times in UTC."""
    return at.replace(tzinfo=timezone.utc).timestamp()


def try_fault(fleet: Fleet, fault: Fault, name: str, dice: random.Random, load: Load | None = None) -> Finding:
    """Do one fault to the fleet, under load. Raises what a server raises that does not come back."""
    load = load or Load()
    trial = Trial(fleet, name, load.plan(fault), dice.randrange(2**32))
    return trial.suffer(fault, after_seconds=dice.uniform(*load.before))


def table_of(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """One line for each fault, with all of its rounds."""
    rows = []
    for what in dict.fromkeys(finding.what for finding in findings):
        found = [finding for finding in findings if finding.what == what]
        hows = sorted({finding.how for finding in found if finding.how.startswith(("netem", "nftables"))})
        rows.append(
            {
                "fault": f"{what} ({', '.join(hows)})" if hows else what,
                "rounds": str(len(found)),
                "pushes": f"{sum(finding.pushes for finding in found):,}",
                "lost": str(sum(finding.lost for finding in found)),
                "doubled": str(sum(finding.doubled for finding in found)),
                "unknown": str(sum(finding.unknown for finding in found)),
                "other": ", ".join(sorted({name for finding in found for name in finding.others})) or "none",
                "longest take-over, s": f"{max(finding.take_over_seconds for finding in found):.1f}",
                f"goal (nothing lost or doubled, {GOAL_SECONDS:g} s) met": "yes"
                if all(finding.is_goal_met for finding in found)
                else "**no**",
            }
        )
    return rows
