"""The calls over HTTP/2: many streams on few connections.

Not libcurl's, because libcurl does not tell whether a stream that ended without an answer was provably not processed.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Hashable
from typing import Any

from pushes.providers.base import Answer, HttpRequest, TransportFailure
from pushes.providers.http2_connection import Connection, Mailbox, Opening
from pushes.providers.http2_head import Origin, head_of
from pushes.providers.http2_streams import Stream
from pushes.providers.http_slot import ConnectionRule, Guard

#: Between two looks at the sockets while requests are added.
LOOK_AGAIN_SECONDS = 0.002
#: To one host. Another is opened when those that there are take no more streams, and have answered more than once: APNs
#: allows one stream until it has seen a valid token.
MAX_CONNECTIONS = 4
#: After this time without a word from the server, ask for one before a request is written.
QUIET_SECONDS = 10.0
#: How often a request that was provably not processed is written once more, within its time.
MAX_REPEATS = 3
#: With less of its time left, a request is not written any more: no answer would most likely come, and all be unknown.
MIN_SHARE_LEFT = 0.1
#: After a connection beside others could not be opened.
PAUSE_SECONDS = 1.0
_READ = select.EPOLLIN | select.EPOLLRDHUP


class Call:
    __slots__ = ("block", "body", "connection", "deadline", "place", "repeats", "stream", "tag")

    def __init__(self, tag: Hashable, place: "Place", block: bytes, body: bytes, deadline: float) -> None:
        self.tag = tag
        self.place = place
        self.block = block
        self.body = body
        self.deadline = deadline
        self.repeats = 0
        self.connection: Connection | None = None
        self.stream: Stream | None = None


class Place:
    """One host, for requests of one word: its connections, and the calls that wait for room on them."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.rule: ConnectionRule | None = None
        self.connections: list[Connection] = []
        self.opening: Opening | None = None
        self.waiting: deque[Call] = deque()
        self.open_again_at = 0.0

    def with_room(self, body_bytes: int) -> Connection | None:
        return next((one for one in self.connections if one.streams.has_room(body_bytes)), None)

    def needs_another(self, now: float) -> bool:
        if not self.waiting or self.opening is not None or now < self.open_again_at:
            return False
        usable = [one for one in self.connections if one.streams.is_open]
        return len(usable) < MAX_CONNECTIONS and all(one.streams.answers > 1 and not one.is_pending for one in usable)


class Http2Calls:
    """What `HttpWindow` hands its HTTP/2 requests to; the window counts them, and waits for `fileno`."""

    def __init__(self, timeout_seconds: float, connect_timeout_seconds: float, guard: Guard | None) -> None:
        self._timeout_seconds = timeout_seconds
        self._connect_timeout_seconds = connect_timeout_seconds
        self._guard = guard
        self._mailbox = Mailbox()
        self._epoll = select.epoll()
        self._epoll.register(self._mailbox, select.EPOLLIN)
        self._places: dict[Origin, Place] = {}
        self._by_descriptor: dict[int, Connection] = {}
        #: Those under way, in the order in which their time runs out.
        self._calls: dict[int, Call] = {}
        self._done: list[tuple[Any, Answer]] = []
        self._acted_at = 0.0

    @property
    def in_flight(self) -> int:
        return len(self._calls) + len(self._done)

    @property
    def is_done(self) -> bool:
        """Whether `take_done` would return something."""
        return bool(self._done)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def add(self, tag: Hashable, request: HttpRequest) -> None:
        """Raises ValueError for a request that HTTP/2 cannot carry or that the guard refuses."""
        origin, block = head_of(request)
        rule = self._guard(origin.url) if self._guard else None
        place = self._places.get(origin)
        if place is None:
            place = self._places[origin] = Place(origin)
        place.rule = rule
        now = time.monotonic()
        call = Call(tag, place, block, request.body, now + self._timeout_seconds)
        self._calls[id(call)] = call
        place.waiting.append(call)
        if now - self._acted_at > LOOK_AGAIN_SECONDS:
            self.act()

    def take_done(self) -> list[tuple[Any, Answer]]:
        done, self._done = self._done, []
        return done

    def seconds_left(self) -> float:
        """How long `act` may wait if no socket stirs."""
        moments = [next(iter(self._calls.values())).deadline] if self._calls else []
        for place in self._places.values():
            if place.waiting and (place.needs_another(self._acted_at) or place.with_room(len(place.waiting[0].body))):
                return 0.0  # what was put back has somewhere to go
            if place.opening is not None:
                moments.append(place.opening.ready_by)
            elif place.waiting and place.open_again_at > self._acted_at:
                moments.append(place.open_again_at)
            moments += [one.ready_by for one in place.connections if one.is_pending]
        return min(moments, default=self._acted_at + self._timeout_seconds) - time.monotonic()

    def act(self) -> None:
        """Read what has come, end what has run out of time, and write what waits, without waiting for anything."""
        now = self._acted_at = time.monotonic()
        for descriptor, _event in self._epoll.poll(0):
            if descriptor == self._mailbox.fileno():
                self._take_mail(now)
            elif (connection := self._by_descriptor.get(descriptor)) is not None:
                connection.read()
                self._harvest(connection)
        self._end_overdue(now)
        for place in self._places.values():
            self._serve(place, now)

    def abandon(self) -> list[Any]:
        """Cut all calls; returns their tags, also of those that were just answered."""
        tags = [tag for tag, _answer in self._done] + [call.tag for call in self._calls.values()]
        for call in list(self._calls.values()):
            self._cut(call)
        for place in self._places.values():
            place.waiting.clear()
            for connection in place.connections:
                connection.streams.ended.clear()
                connection.write()
        self._calls.clear()
        self._done.clear()
        return tags

    def close(self) -> None:
        self.abandon()
        for connection in self._by_descriptor.values():
            connection.close("closed by us")
        self._mailbox.close()
        self._epoll.close()

    # --- connections --------------------------------------------------------------------------

    def _take_mail(self, now: float) -> None:
        for opening, found in self._mailbox.take():
            place = self._places[opening.origin]
            is_awaited = place.opening is opening
            if isinstance(found, socket.socket):
                # Also one that comes late: it is as good as any.
                connection = Connection(found, max(opening.ready_by, now + self._connect_timeout_seconds / 2))
                place.connections.append(connection)
                self._by_descriptor[connection.fileno()] = connection
                self._epoll.register(connection, _READ)
            elif is_awaited:
                self._not_opened(place, found, now)
            if is_awaited:
                place.opening = None

    def _not_opened(self, place: Place, text: str, now: float) -> None:
        """End the calls that wait for a connection, unless others are there for them."""
        if any(one.streams.is_open for one in place.connections):
            place.open_again_at = now + PAUSE_SECONDS
            return
        while place.waiting:
            self._finish(place.waiting.popleft(), TransportFailure(False, text))

    def _serve(self, place: Place, now: float) -> None:
        if place.opening is not None and now >= place.opening.ready_by:
            place.opening = None
            self._not_opened(place, "the connection did not come up in time", now)
        for connection in list(place.connections):
            self._look_at(place, connection, now)
        self._write_waiting(place, now)
        if place.needs_another(now):
            place.opening = Opening(place.origin, place.rule, self._connect_timeout_seconds, self._mailbox)
        for connection in list(place.connections):
            self._flush(place, connection, now)

    def _look_at(self, place: Place, connection: Connection, now: float) -> None:
        """Take what a connection has come to, and let go of one that is of no more use."""
        is_idle = not connection.streams.streams
        if connection.is_pending:
            if now >= connection.ready_by:
                connection.close("the server said nothing in time")
        elif is_idle and not connection.streams.is_open:
            connection.close("nothing is left to do on it")
        elif is_idle and place.waiting and now - connection.heard_at > QUIET_SECONDS:
            connection.ask(now + self._connect_timeout_seconds)
        self._harvest(connection)
        if connection.is_closed:
            self._forget(place, connection, now)

    def _forget(self, place: Place, connection: Connection, now: float) -> None:
        place.connections.remove(connection)
        # By now a new connection may have its number.
        if self._by_descriptor.get(connection.fileno()) is connection:
            del self._by_descriptor[connection.fileno()]
        if not connection.streams.was_used:
            # As good as none: without this, a server that leaves at once would be called again and again.
            self._not_opened(place, connection.end, now)

    def _write_waiting(self, place: Place, now: float) -> None:
        while place.waiting:
            call = place.waiting[0]
            if call.deadline - now < MIN_SHARE_LEFT * self._timeout_seconds:
                self._finish(place.waiting.popleft(), TransportFailure(False, "no connection had room in time"))
                continue
            connection = place.with_room(len(call.body))
            if connection is None:
                return
            place.waiting.popleft()
            call.connection = connection
            call.stream = connection.streams.open(call, call.block, call.body)

    def _flush(self, place: Place, connection: Connection, now: float) -> None:
        connection.write()
        self._harvest(connection)
        if connection.is_closed:
            self._forget(place, connection, now)
            return
        wants_room = bool(connection.streams.out)
        if wants_room is not connection.is_watched_for_room:
            connection.is_watched_for_room = wants_room
            self._epoll.modify(connection, _READ | select.EPOLLOUT if wants_room else _READ)

    # --- calls --------------------------------------------------------------------------------

    def _harvest(self, connection: Connection) -> None:
        """Take the calls that ended. One that was provably not processed goes first in the queue again."""
        ended, connection.streams.ended = connection.streams.ended, []
        again: list[Call] = []
        for call, answer in ended:
            call.stream = call.connection = None
            if isinstance(answer, TransportFailure) and not answer.was_sent and call.repeats < MAX_REPEATS:
                call.repeats += 1
                again.append(call)
            else:
                self._finish(call, answer)
        for call in reversed(again):
            call.place.waiting.appendleft(call)

    def _finish(self, call: Call, answer: Answer) -> None:
        del self._calls[id(call)]
        self._done.append((call.tag, answer))

    def _end_overdue(self, now: float) -> None:
        while self._calls:
            call = next(iter(self._calls.values()))
            if call.deadline > now:
                return
            self._finish(call, TransportFailure(self._cut(call), "no answer in time"))

    def _cut(self, call: Call) -> bool:
        """End a call from our side; whether the server may have processed it."""
        connection, stream = call.connection, call.stream
        if connection is None or stream is None:
            call.place.waiting.remove(call)
            return False
        was_sent = connection.streams.was_sent(stream)
        connection.streams.cancel(stream)
        if time.monotonic() - connection.heard_at > self._timeout_seconds / 2:
            # The other end may be gone, and nobody told us.
            connection.streams.is_leaving = True
        self._harvest(connection)
        return was_sent
