"""Which harm a seed has in store. Each schedule has a few kinds of faults of all, so that rare combinations come up
("swarm testing"), and a handful of strikes; after these, or after FAULT_SECONDS, nothing fails any more."""

import random
from dataclasses import dataclass, field

FAULT_SECONDS = 90.0
#: To a process, at any seam: it dies, stops for longer than a lease, or one thread of it hangs for good.
DIE, FREEZE, HANG = "die", "freeze", "hang"
#: Of a database statement: it fails; it, or its commit, happens and its answer is lost; a deadlock; a slow one; and for
#: a while all of them fail.
FAIL, LOST, DEADLOCK, SLOW, OUTAGE = "fail", "lost answer", "deadlock", "slow", "outage"
#: Of Redis: a command fails, or works and its answer is lost; all is lost, a job is lost, a job comes twice.
REDIS_FAIL, REDIS_LOST, FLUSH, LOSE_JOB, TWICE = "redis fails", "redis answer lost", "flush", "lose job", "job twice"
#: Of a provider call: its answer is lost, it is slow; the provider is busy, or refuses the push; it does not leave.
CALL_LOST, CALL_SLOW, CALL_BUSY, CALL_REFUSED, CALL_UNREACHED = (
    "call answer lost",
    "call slow",
    "call busy",
    "call refused",
    "call unreached",
)
#: A machine's clock, or the database's, is put back or forward.
MACHINE_CLOCK, DATABASE_CLOCK = "machine clock", "database clock"

TO_PROCESS = (DIE, FREEZE, MACHINE_CLOCK, DATABASE_CLOCK, FLUSH, LOSE_JOB, TWICE, OUTAGE)
TO_STATEMENT = (*TO_PROCESS, FAIL, LOST, SLOW)
IN_TRANSACTION = (DEADLOCK, FAIL, DIE)
TO_COMMIT = (LOST, FAIL)
TO_COMMAND = (*TO_PROCESS, REDIS_FAIL, REDIS_LOST)
#: A command inside a transaction: nobody else may go on.
IN_COMMAND = (DIE, REDIS_FAIL, REDIS_LOST)
TO_CALL = (CALL_LOST, CALL_SLOW, CALL_BUSY, CALL_REFUSED, CALL_UNREACHED, HANG)
KINDS = tuple(dict.fromkeys((*TO_STATEMENT, *IN_TRANSACTION, *TO_COMMIT, *TO_COMMAND, *TO_CALL)))
#: After these it may be uncertain whether a push has arrived; after the others it never is.
DOUBTFUL = frozenset({DIE, FREEZE, HANG, FAIL, LOST, DEADLOCK, SLOW, OUTAGE, CALL_LOST, DATABASE_CLOCK})
#: Calls are few beside statements.
CALL_WEIGHT = 8


@dataclass(slots=True)
class Faults:
    """The faults of one schedule: the enabled kinds, the chance of a strike at a seam, and how many are left."""

    dice: random.Random
    enabled: frozenset[str]
    rate: float
    left: int
    struck: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, dice: random.Random, harm: tuple[str, ...] = ()) -> "Faults":
        """Return what the dice have in store: of all kinds, or these kinds of `harm` alone."""
        enabled = harm or dice.sample(KINDS, dice.choice((1, 2, 3, 3, 5, 8)))
        rate = dice.choice((0.02, 0.05, 0.1, 0.2) if not harm else (0.05, 0.1))
        return cls(dice, frozenset(enabled), rate, dice.choice((1, 2, 3, 5)))

    def strike(self, kinds: tuple[str, ...], now: float, *, weight: int = 1) -> str:
        """Return what strikes at this seam, of these kinds; mostly nothing, ""."""
        if not self.left or self.dice.random() >= self.rate * weight or now > FAULT_SECONDS:
            return ""
        # One worker has to be left.
        possible = [kind for kind in kinds if kind in self.enabled and (kind != HANG or HANG not in self.struck)]
        if not possible:
            return ""
        self.left -= 1
        self.struck.append(self.dice.choice(possible))
        return self.struck[-1]
