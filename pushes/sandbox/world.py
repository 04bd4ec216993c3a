"""The whole memory of the sandbox."""

import time
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any

import psutil

from pushes.sandbox.bearers import Bearers
from pushes.sandbox.faults import Faults
from pushes.sandbox.keys import AccessId, KeyRing
from pushes.sandbox.phones import Phones
from pushes.sandbox.store import ALL_DEVICES, Received
from pushes.sandbox.wire import MAX_STREAMS, Connections

LEGACY = "legacy"
GATEWAY = "gateway"
CODE_SETS = (LEGACY, GATEWAY)
#: What a free app of JPush may do.
CALLS_A_MINUTE = 600
#: What one face remembers.
Kept = OrderedDict[Any, Any]


@dataclass
class World:
    """`codes` is the era whose return codes Xinge speaks: `legacy` until mid 2017, `gateway` after that. JPush
    takes `calls_a_minute` from each app key. `kept` is what faces remember, each under names of its own."""

    keys: KeyRing
    received: Received
    faults: Faults
    latency_ms: float = 0.0
    codes: str = LEGACY
    calls_a_minute: int = CALLS_A_MINUTE
    kept: defaultdict[str, Kept] = field(default_factory=lambda: defaultdict(OrderedDict))
    phones: Phones = field(default_factory=Phones)
    bearers: Bearers = field(default_factory=Bearers)
    calls: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    broadcasts: defaultdict[AccessId, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    started_at: float = field(default_factory=time.time)
    connections: Connections = field(default_factory=Connections)

    def __post_init__(self) -> None:
        self._start = self.latency_ms, self.codes, self.calls_a_minute

    def reset(self) -> None:
        """Return to the state at the start; only the keys stay."""
        self.latency_ms, self.codes, self.calls_a_minute = self._start
        self.connections.first_streams = MAX_STREAMS
        self.kept.clear()
        self.received.clear()
        self.faults.reset()
        self.phones = Phones()
        self.bearers = Bearers()
        self.calls.clear()
        self.answers.clear()
        self.broadcasts.clear()

    def deliver(self, access_id: AccessId, tokens: list[str], rest: bytes) -> None:
        self.received.record(access_id, tokens, rest)
        if tokens != [ALL_DEVICES]:
            self.phones.seen(access_id, tokens)

    def stats(self) -> dict[str, Any]:
        """The figures that the control API and the page show."""
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
