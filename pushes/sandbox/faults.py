"""Faults on demand: profiles for one key or for all keys, and tokens whose first characters name a fault."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pushes.sandbox.keys import AccessId

DEFAULT_SLOW_MS = 2_000.0
#: What `flaky` does when it is not told otherwise, in per cent; the rest is answered as usual.
DEFAULT_RATES = {"error500": 4.0, "busy503": 4.0, "cut": 2.0, "garbage": 2.0, "throttle": 4.0, "slow": 4.0}


class Fault(str, Enum):
    """A way in which a call fails. A fault with "after" in its name happens once the push is recorded."""

    OK = "ok"
    SLOW = "slow"
    ERROR500 = "error500"
    BUSY503 = "busy503"
    HANG = "hang"
    HANG_AFTER = "hang_after"
    CUT = "cut"
    CUT_AFTER = "cut_after"
    HALF_AFTER = "half_after"
    GARBAGE = "garbage"
    THROTTLE = "throttle"
    BAD_AUTH = "bad_auth"
    #: Over HTTP/2: the stream is refused unread, or the connection goes away without it. Over HTTP/1.1: a 503.
    REFUSED_STREAM = "refused_stream"
    GOAWAY = "goaway"
    #: As under a key of the wrong environment or app: every call is in order, and every token unknown.
    BAD_TOKEN = "bad_token"


FLAKY = "flaky"
PROFILES = (*(fault.value for fault in Fault), FLAKY)


class TokenFault(Enum):
    UNREGISTERED = "unregistered"
    ILLEGAL = "illegal"
    BUSY = "busy"
    THROTTLED = "throttled"
    HANGS = "hangs"
    CUT_AFTER = "cut_after"


#: The first eight characters of a token. Eight, so that among random tokens none is met by chance.
TOKEN_PREFIXES = {
    "dead0000": TokenFault.UNREGISTERED,
    "baad0000": TokenFault.ILLEGAL,
    "b0b00000": TokenFault.BUSY,
    "cafe0000": TokenFault.THROTTLED,
    "deaf0000": TokenFault.HANGS,
    "d1ed0000": TokenFault.CUT_AFTER,
}
PREFIX_LENGTH = 8


class ProfileError(ValueError):
    """A profile that cannot be used; the message names the field."""


@dataclass(slots=True)
class Profile:
    """A fault for a number of calls. `times` counts down the remaining calls; None means no end."""

    name: str = "ok"
    latency_ms: float = DEFAULT_SLOW_MS
    retry_after: str = "1"
    status: int = 500
    times: int | None = None
    rates: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_RATES))
    seed: int = 1
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    def next_fault(self) -> Fault:
        if self.name != FLAKY:
            return Fault(self.name)
        mark = self.dice.random() * 100
        for name, rate in self.rates.items():
            mark -= rate
            if mark < 0:
                return Fault(name)
        return Fault.OK


class Faults:
    """The profile of every key, and the profile of the keys without one."""

    def __init__(self, start: Profile | None = None) -> None:
        self._start = start or Profile()
        self._of_key: dict[AccessId, Profile] = {}
        self._of_all = self._start

    def set(self, profile: Profile, access_id: AccessId | None = None) -> None:
        if access_id is None:
            self._of_all = profile
        else:
            self._of_key[access_id] = profile

    def reset(self) -> None:
        self._of_key.clear()
        self._of_all = self._start

    def pick(self, access_id: AccessId | None) -> tuple[Fault, Profile]:
        """Choose the fault of the next call under `access_id`, and count the call."""
        profile = self._of_all
        if self._of_key and access_id in self._of_key:
            profile = self._of_key[access_id]
        if profile.times is not None:
            if profile.times <= 0:
                return Fault.OK, profile
            profile.times -= 1
        return profile.next_fault(), profile

    def names(self) -> dict[str, str]:
        return {"*": self._of_all.name, **{str(key): profile.name for key, profile in self._of_key.items()}}


def profile_from(body: Mapping[str, Any]) -> Profile:
    """Read a profile from the control API's JSON. Raises ProfileError with the field and its value."""
    unknown = body.keys() - {"profile", "access_id", "latency_ms", "retry_after", "status", "times", "rates", "seed"}
    if unknown:
        raise ProfileError(f"{sorted(unknown)!r}: no such fields")
    name = body.get("profile")
    if name not in PROFILES:
        raise ProfileError(f"profile={name!r}: it must be one of {', '.join(PROFILES)}")
    seed = int(_number(body, "seed", 1, least=0))
    times = body.get("times")
    return Profile(
        name=name,
        latency_ms=_number(body, "latency_ms", DEFAULT_SLOW_MS, least=0),
        retry_after=str(body.get("retry_after", "1")),
        status=int(_number(body, "status", 500, least=400)),
        times=None if times is None else int(_number(body, "times", 0, least=0)),
        rates=_rates(body.get("rates", DEFAULT_RATES)),
        seed=seed,
        dice=random.Random(seed),
    )


def _rates(rates: Any) -> dict[str, float]:
    if not isinstance(rates, dict):
        raise ProfileError(f"rates={rates!r}: an object of fault names and per cents is needed")
    known = [fault.value for fault in Fault]
    for name in rates:
        if name not in known:
            raise ProfileError(f"rates: {name!r} is no fault; it must be one of {', '.join(known)}")
    parsed = {name: _number(rates, name, 0, least=0) for name in rates}
    if sum(parsed.values()) > 100:
        raise ProfileError(f"rates={rates!r}: together they exceed 100")
    return parsed


def _number(body: Mapping[str, Any], name: str, default: float, *, least: float) -> float:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
        raise ProfileError(f"{name}={value!r}: a number of at least {least:g} is needed")
    return value
