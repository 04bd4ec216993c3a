"""Receive every request: choose the protocol, apply the fault, delay the answer."""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from pushes.sandbox.apns import ApnsFace
from pushes.sandbox.control import Control
from pushes.sandbox.face import Call, Face, StaleKeyError
from pushes.sandbox.faults import Fault, Profile
from pushes.sandbox.fcm import FcmFace
from pushes.sandbox.huawei import HuaweiV1Face, HuaweiV3Face
from pushes.sandbox.jpush import JPushFace
from pushes.sandbox.pages import Pages
from pushes.sandbox.tpns import TpnsFace
from pushes.sandbox.wire import Ending, Reply, Request
from pushes.sandbox.world import World
from pushes.sandbox.xinge import XingeFace

#: Every provider that the sandbox plays.
FACES: tuple[type[Face[Any, Any]], ...] = (
    XingeFace,
    TpnsFace,
    ApnsFace,
    FcmFace,
    JPushFace,
    HuaweiV3Face,
    HuaweiV1Face,
)
CONTROL_PREFIX = "/_sandbox/"
GARBAGE = b"\x1f\x8b<html>{{{ 502 \xff\xfe"


class Desk:
    def __init__(self, world: World) -> None:
        self._world = world
        self._faces = [face(world) for face in FACES]
        self._control = Control(world)
        self._pages = Pages(world)

    def answer(self, request: Request) -> Reply | Coroutine[Any, Any, Reply]:
        path = request.path
        for face in self._faces:
            if face.speaks(path):
                return self._provide(face, face.open_call(request))
        if path.startswith(CONTROL_PREFIX):
            return self._control.answer(request)
        return self._pages.answer(request)

    def _provide(self, face: Face[Any, Any], call: Call) -> Reply | Coroutine[Any, Any, Reply]:
        self._world.calls[face.counted(call.request.path)] += 1
        fault, profile = self._world.faults.pick(call.access_id)
        spoilt = _spoilt_before(fault, profile)
        if spoilt is not None:
            self._world.answers[fault.value] += 1
            return self._late(spoilt, fault, profile)
        try:
            reply = face.answer(call, fault)
        except StaleKeyError:
            return self._provide_with_new_keys(face, call, fault, profile)
        return self._late(_spoilt_after(reply, fault), fault, profile)

    async def _provide_with_new_keys(self, face: Face[Any, Any], call: Call, fault: Fault, profile: Profile) -> Reply:
        await self._world.keys.refresh()
        try:
            reply = face.answer(call, fault)
        except StaleKeyError as stale:
            # The table has just been read: what is wrong now is wrong.
            reply = face.refuse(call, stale.refused)
        return self._late(_spoilt_after(reply, fault), fault, profile)

    def _late(self, reply: Reply, fault: Fault, profile: Profile) -> Reply:
        milliseconds = self._world.latency_ms + (profile.latency_ms if fault is Fault.SLOW else 0)
        return replace(reply, delay_seconds=milliseconds / 1000) if milliseconds else reply


def _spoilt_before(fault: Fault, profile: Profile) -> Reply | None:
    """The answer of a service that fails before it reads the call."""
    if fault is Fault.OK:
        return None
    if fault is Fault.ERROR500:
        return Reply(b"<html>error</html>", profile.status)
    if fault in _UNREAD:
        return Reply(b"", 503, ending=_UNREAD[fault])
    if fault is Fault.BUSY503:
        return Reply(b"", 503, headers=(("Retry-After", profile.retry_after),))
    if fault is Fault.HANG:
        return Reply(b"", ending=Ending.NEVER)
    if fault is Fault.CUT:
        return Reply(b"", ending=Ending.CUT)
    return Reply(GARBAGE) if fault is Fault.GARBAGE else None


_UNREAD = {Fault.REFUSED_STREAM: Ending.REFUSED, Fault.GOAWAY: Ending.GOAWAY}
_ENDINGS = {Fault.HANG_AFTER: Ending.NEVER, Fault.CUT_AFTER: Ending.CUT, Fault.HALF_AFTER: Ending.HALF}


def _spoilt_after(reply: Reply, fault: Fault) -> Reply:
    """The service has read the call and acted on it; the answer is lost on the way."""
    ending = _ENDINGS.get(fault)
    return reply if ending is None else replace(reply, ending=ending)
