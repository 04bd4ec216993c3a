"""The provider and the way to it: what has arrived, and what was answered. It keeps its own book, with
which the platform's rows are compared at the end."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pushes.names import ProviderKind, Reason
from pushes.providers import answers
from pushes.providers.base import Answer, HttpRequest, HttpResponse, PreparedMessage, Provider, TransportFailure
from pushes.values import Credentials, Notification, Outcome, Scope, Verdict
from tests.simulation import faults
from tests.simulation.faults import Faults
from tests.simulation.scheduler import Scheduler

TIMEOUT_SECONDS = 5.0
BUSY, REFUSED = 503, 400


class Arrival(NamedTuple):
    """A push that reached the provider."""

    at: float
    record_id: int
    token: str


@dataclass(slots=True)
class Network:
    """All calls of one schedule. `known` are the call keys under which the provider has pushed; `has_cut`
    says that an answer was lost."""

    scheduler: Scheduler
    faults: Faults
    seam: Callable[[str], None]
    arrivals: list[Arrival] = field(default_factory=list)
    refused: set[tuple[int, str]] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    has_cut: bool = False
    windows: dict[Any, "Window"] = field(default_factory=dict)

    def window(self) -> "Window":
        """The running process's own."""
        task = self.scheduler.current
        return self.windows.setdefault(task, Window(self))

    def hang_up(self) -> None:
        self.window().close()

    def call(self, body: str) -> tuple[float, Answer]:
        """Make a call. Returns when it is answered, and how."""
        call_key, record, *tokens = body.split(" ")
        struck = self.faults.strike(faults.TO_CALL, self.scheduler.now, weight=faults.CALL_WEIGHT)
        at = self.scheduler.now + self.scheduler.dice.uniform(0.01, 0.3)
        if struck == faults.CALL_UNREACHED:
            return at, TransportFailure(False, "simulated: no connection")
        if struck == faults.CALL_BUSY:
            return at, HttpResponse(BUSY, b"")
        if struck == faults.CALL_REFUSED and call_key not in self.known:
            self.refused |= {(int(record), token) for token in tokens}
            return at, HttpResponse(REFUSED, b"")
        if struck == faults.CALL_SLOW:
            at = self.scheduler.now + self.scheduler.dice.uniform(0.5, TIMEOUT_SECONDS * 1.3)
        is_cut = struck == faults.CALL_LOST or at - self.scheduler.now > TIMEOUT_SECONDS
        self.has_cut |= is_cut
        if not is_cut or self.scheduler.dice.random() < 0.6:
            self._arrive(call_key, int(record), tokens, min(at, self.scheduler.now + TIMEOUT_SECONDS))
        if struck == faults.HANG:
            return float("inf"), TransportFailure(True, "never seen")
        if is_cut:
            return min(at, self.scheduler.now + TIMEOUT_SECONDS), TransportFailure(True, "simulated: no answer")
        return at, HttpResponse(200, b"")

    def _arrive(self, call_key: str, record_id: int, tokens: Sequence[str], at: float) -> None:
        if call_key and call_key in self.known:
            return
        self.known |= {call_key} - {""}
        self.arrivals += [Arrival(at, record_id, token) for token in tokens]


class Window:
    """In the place of `HttpWindow`."""

    def __init__(self, network: Network) -> None:
        self._network, self._flying = network, list[tuple[float, Hashable, Answer]]()

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    @property
    def free(self) -> bool:
        return True

    def add(self, tag: Hashable, request: HttpRequest) -> None:
        scheduler = self._network.scheduler
        scheduler.pause(scheduler.dice.expovariate(1_000))
        if struck := self._network.faults.strike(faults.TO_PROCESS, scheduler.now):
            self._network.seam(struck)
        at, answer = self._network.call(request.body.decode())
        scheduler.note(f"call {request.body.decode()} → {answer if at < float('inf') else 'hangs'}")
        self._flying.append((at, tag, answer))

    def collect(self, _timeout_seconds: float) -> list[tuple[Any, Answer]]:
        scheduler = self._network.scheduler
        first = min(at for at, *_ in self._flying)
        scheduler.pause(max(0.0, min(first, 1e9) - scheduler.now))
        done = [one for one in self._flying if one[0] <= scheduler.now]
        self._flying = [one for one in self._flying if one[0] > scheduler.now]
        return [(tag, answer) for _, tag, answer in done]

    def close(self) -> None:
        self._flying = []


class SimulatedProvider(Provider):
    """A vendor without call keys."""

    kind = ProviderKind.SANDBOX
    max_message_bytes = 4_096
    max_expire_seconds = 259_200
    default_url = "http://simulated"

    def prepare(self, credentials: Credentials, notification: Notification) -> PreparedMessage:
        # The replace id is the record's own.
        return PreparedMessage(credentials, str(notification.replace_id))

    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        return HttpRequest(self.default_url, f"{message.call_key} {message.body} {token}".encode())

    def to_list(self, message: PreparedMessage, push_id: str, tokens: Sequence[str], *, now: int) -> HttpRequest:
        return self.to_device(message, " ".join(tokens), now=now)

    def check(self, credentials: Credentials, *, now: int) -> HttpRequest:
        return HttpRequest(self.default_url, b"check")

    def read(self, answer: Answer) -> Outcome:
        if isinstance(answer, TransportFailure):
            return answers.without_answer(answer)
        if answer.status == BUSY:
            return Outcome(Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.KEY, http_status=BUSY)
        if answer.status == REFUSED:
            return Outcome(Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.TARGET, http_status=REFUSED)
        return Outcome(Verdict.ACCEPTED, http_status=200)


class KeyedProvider(SimulatedProvider):
    """A vendor that pushes once for all calls with one call key, like JPush."""

    list_limit = 100
    lists_need_creation = False
    is_idempotent = True
    call_key_seconds = 82_800

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def new_call_key(self, credentials: Credentials, *, now: int) -> str:
        return f"{now}-{self._scheduler.dice.getrandbits(32):08x}"

    def knows_call(self, call_key: str, credentials: Credentials, *, now: int) -> bool:
        return abs(now - int(call_key.partition("-")[0])) <= self.call_key_seconds
