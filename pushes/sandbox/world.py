"""Everything that the sandbox remembers, in one place."""

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import psutil

from pushes.sandbox.faults import Faults
from pushes.sandbox.keys import KeyRing
from pushes.sandbox.phones import Phones
from pushes.sandbox.store import ALL_DEVICES, Received

LEGACY = "legacy"
GATEWAY = "gateway"
CODE_SETS = (LEGACY, GATEWAY)


@dataclass
class World:
    """`codes` is the era whose return codes Xinge speaks: `legacy` to mid 2017, `gateway` from then on."""

    keys: KeyRing
    received: Received
    faults: Faults
    latency_ms: float = 0.0
    codes: str = LEGACY
    phones: Phones = field(default_factory=Phones)
    calls: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    broadcasts: defaultdict[int, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    started_at: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self._start = self.latency_ms, self.codes

    def reset(self) -> None:
        """Forget what happened, and be as at the start; only the keys stay."""
        self.latency_ms, self.codes = self._start
        self.received.clear()
        self.faults.reset()
        self.phones = Phones()
        self.calls.clear()
        self.answers.clear()
        self.broadcasts.clear()

    def deliver(self, access_id: int, tokens: list[str], rest: bytes) -> None:
        self.received.record(access_id, tokens, rest)
        if tokens != [ALL_DEVICES]:
            self.phones.seen(access_id, tokens)

    def stats(self) -> dict[str, Any]:
        """What the control API and the page tell."""
        return {
            "uptime_seconds": round(time.time() - self.started_at, 1),
            "requests": self.calls.total(),
            "by_path": dict(self.calls),
            "by_code": dict(self.answers),
            "received": len(self.received),
            "forgotten": self.received.forgotten,
            "last_seq": self.received.last_seq,
            "compressed_bytes": self.received.compressed_bytes,
            "rss_bytes": psutil.Process().memory_info().rss,
            "latency_ms": self.latency_ms,
            "codes": self.codes,
            "profiles": self.faults.names(),
            "access_ids": self.keys.access_ids(),
        }
