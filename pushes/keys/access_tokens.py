"""Access tokens of providers that want one with every call, shared by the workers of all machines.

    made or fetched ──▶ in use, from memory ──at 80 % of its life──▶ one worker renews it; the others go on with it
                              └──refused as too old──▶ one worker renews it, unless another has by now

A token lies encrypted in Redis, and each process remembers those that it uses: a call costs no look-up. Who renews a
token holds its lease, of which there is one for all machines. All of this is soft state: without Redis each process
makes or fetches a token of its own, so that losing Redis loses no push.
"""

import hashlib
import json
import logging
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from redis import Redis, RedisError
from redis.commands.core import Script

from pushes import vault
from pushes.names import Reason
from pushes.providers import hosts
from pushes.providers.base import AccessToken, HttpRequest, Provider
from pushes.providers.one_shot import calls
from pushes.storage import shared_redis
from pushes.values import Blame, Credentials, Outcome, Scope, Verdict
from pushes.workers import queues

log = logging.getLogger(__name__)

KEY = "higo:access-token:{scope}"
LEASE = "higo:access-token:{scope}:lease"
#: Of a token's life, after which it is renewed.
RENEWED_AFTER = 0.8
#: For how long nobody asks again after asking in vain.
FAILED_SECONDS = 5.0
#: How often who waits for another's token looks.
LOOK_SECONDS = 0.05
#: What Redis may say a token is, and what is not believed.
MAX_TEXT, MAX_LIFE_SECONDS, MAX_AHEAD_SECONDS = 8_192, 7 * 86_400, 300
#: How many tokens one process remembers: more than there are app keys.
MAX_REMEMBERED = 256

# Foreign values there are ignored: they must not block a key. Whoever asked in vain leaves a "-" in the lease's place.
_TAKE = """
local kind, left = redis.call('TYPE', KEYS[1]).ok, redis.call('PTTL', KEYS[1])
if kind ~= 'none' and (kind ~= 'string' or left < 0 or left > tonumber(ARGV[2])) then redis.call('DEL', KEYS[1]) end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return '+' end
return redis.call('GET', KEYS[1])
"""
_GIVE_BACK = """
if redis.call('TYPE', KEYS[1]).ok ~= 'string' or redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) > 0 then redis.call('SET', KEYS[1], '-', 'PX', ARGV[2]) else redis.call('DEL', KEYS[1]) end
return 1
"""
_TAKEN, _IN_VAIN = b"+", b"-"


@dataclass(slots=True)
class _Kept:
    """What this process remembers of one scope. Of its threads, one at a time looks for a new token."""

    token: AccessToken | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Wanted(NamedTuple):
    """One search for a token. `stale` is the text of a token that the provider refuses, or ""."""

    provider: Provider
    credentials: Credentials
    scope: str
    deadline: float
    stale: str = ""

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())


_kept: OrderedDict[str, _Kept] = OrderedDict()
_kept_lock = threading.Lock()


def current(provider: Provider, credentials: Credentials) -> AccessToken | Outcome:
    """Return a token for calls under these credentials, or the outcome of looking for one in vain, after at most
    CALL_TIMEOUT_SECONDS. Raises ValueError for an unusable secret, and HostRefusedError, which is one."""
    wanted = _wanted(provider, credentials)
    kept = _of_scope(wanted.scope)
    return _fresh(kept.token) or _found(wanted, kept)


def renewed(provider: Provider, credentials: Credentials, *, stale: str) -> AccessToken | Outcome:
    """Return another token than `stale`, which the provider has refused as too old: the one that another worker has
    got by now, or a new one. Raises as `current` does."""
    wanted = _wanted(provider, credentials)._replace(stale=stale)
    return _found(wanted, _of_scope(wanted.scope))


def keep(provider: Provider, credentials: Credentials, token: AccessToken) -> None:
    """Share a token that was got elsewhere."""
    scope = _wanted(provider, credentials).scope
    _of_scope(scope).token = token
    _share(scope, token)


def forget() -> None:
    """Forget what this process remembers."""
    with _kept_lock:
        _kept.clear()


def _wanted(provider: Provider, credentials: Credentials) -> _Wanted:
    # Not the app key's number: a token that was got to verify new credentials is theirs when they are used.
    parts = json.dumps([provider.kind, credentials.access_id, credentials.endpoint_url, credentials.secret])
    scope = hashlib.sha256(parts.encode()).hexdigest()[:32]
    return _Wanted(provider, credentials, scope, time.monotonic() + settings.CALL_TIMEOUT_SECONDS)


def _of_scope(scope: str) -> _Kept:
    with _kept_lock:
        kept = _kept.setdefault(scope, _Kept())
        _kept.move_to_end(scope)
        if len(_kept) > MAX_REMEMBERED:
            _kept.popitem(last=False)
    return kept


def _found(wanted: _Wanted, kept: _Kept) -> AccessToken | Outcome:
    """Find a token in Redis, or get one, while no other thread of this process does."""
    if not kept.lock.acquire(timeout=wanted.seconds_left):
        return _usable(kept.token, wanted) or _nobody("another thread is waiting for the access token")
    try:
        fresh = _fresh(kept.token)
        if fresh is not None and fresh.text != wanted.stale:
            return fresh  # another thread has found it
        found = _shared_or_new(wanted, kept.token)
        if isinstance(found, AccessToken):
            kept.token = found
        return found
    finally:
        kept.lock.release()


def _shared_or_new(wanted: _Wanted, own: AccessToken | None) -> AccessToken | Outcome:
    old = _usable(own, wanted)
    try:
        return _by_lease(wanted, old)
    except RedisError as error:
        log.warning("access tokens cannot be shared while Redis is away (%s)", error)
    found = _new(wanted)
    return (old or found) if isinstance(found, Outcome) else found


def _by_lease(wanted: _Wanted, old: AccessToken | None) -> AccessToken | Outcome:
    """Return the token in Redis; a new one when that is due and nobody else is getting it; until then the old one, or
    what the others get. Raises RedisError."""
    while True:
        shared = _usable(_read(wanted.scope), wanted)
        if fresh := _fresh(shared):
            return fresh
        old = shared or old
        holder = secrets.token_hex(8)
        lease = _take(wanted, holder)
        if lease == _TAKEN:
            return _as_holder(wanted, holder, old)
        if old is not None:
            return old
        if lease == _IN_VAIN or wanted.seconds_left <= 0:
            return _nobody("another worker has asked for an access token in vain, or waits for it")
        time.sleep(min(LOOK_SECONDS, wanted.seconds_left))


def _as_holder(wanted: _Wanted, holder: str, old: AccessToken | None) -> AccessToken | Outcome:
    """Get a new token and share it. While it cannot be had, an old one that is still valid does. Raises RedisError."""
    found: AccessToken | Outcome | None = None
    try:
        # Another worker may have had the lease, and shared its token, since we looked.
        found = _fresh(_usable(_read(wanted.scope), wanted))
        if found is None:
            found = _new(wanted)
            if isinstance(found, AccessToken):
                _share(wanted.scope, found)
    finally:
        in_vain = isinstance(found, Outcome)
        _give_back(wanted.scope, holder, FAILED_SECONDS if in_vain else 0.0)
    return (old or found) if isinstance(found, Outcome) else found


def _new(wanted: _Wanted) -> AccessToken | Outcome:
    """Make a token, or ask the provider for one. Raises ValueError, and HostRefusedError."""
    made = wanted.provider.access_token(wanted.credentials, now=int(time.time()))
    return ask(wanted.provider, made, wanted.seconds_left) if isinstance(made, HttpRequest) else made


def ask(provider: Provider, request: HttpRequest, seconds: float) -> AccessToken | Outcome:
    """Return the provider's answer to a request for a token. Raises HostRefusedError."""
    hosts.guard(request.url)
    [answer] = calls([request], max(0.1, seconds), hosts.guard)
    return in_words(provider.read_access_token(answer, now=int(time.time())))


def in_words(found: AccessToken | Outcome) -> AccessToken | Outcome:
    """Return an outcome as one of asking for a token: nothing was pushed, so that nothing is in doubt."""
    if isinstance(found, AccessToken):
        return found
    if found.verdict in (Verdict.FAILED, Verdict.BAD_TARGET):
        own = found.reason if found.scope is Scope.KEY else None
        found = replace(found, verdict=Verdict.FAILED, reason=own or Reason.BAD_CREDENTIALS)
        found = replace(found, blame=found.blame or Blame.CREDENTIALS)
    else:
        own = None if found.verdict is Verdict.UNKNOWN else found.reason
        found = replace(found, verdict=Verdict.RETRY, reason=own or Reason.UNREACHABLE)
    return replace(found, scope=Scope.KEY, text=f"access token: {found.text}", is_token_stale=False)


def _nobody(text: str) -> Outcome:
    return Outcome(Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.KEY, text=text)


def _fresh(token: AccessToken | None) -> AccessToken | None:
    """Return a token that need not be renewed yet."""
    if token is None:
        return None
    return token if time.time() < token.made_at + RENEWED_AFTER * (token.expires_at - token.made_at) else None


def _usable(token: AccessToken | None, wanted: _Wanted) -> AccessToken | None:
    """Return a token that outlives a call, and is not the one that was refused."""
    if token is None or token.text == wanted.stale:
        return None
    return token if time.time() + settings.CALL_TIMEOUT_SECONDS < token.expires_at else None


# --- in Redis ------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _scripts(client: Redis) -> tuple[Script, Script]:
    return client.register_script(_TAKE), client.register_script(_GIVE_BACK)


def _take(wanted: _Wanted, holder: str) -> bytes:
    """Take the lease, and say "+", or what stands there: another holder, or "-". Raises RedisError."""
    script, _ = _scripts(shared_redis.connection())
    milliseconds = int(1_000 * (settings.CALL_TIMEOUT_SECONDS + FAILED_SECONDS))
    return bytes(script(keys=[LEASE.format(scope=wanted.scope)], args=[holder, milliseconds]) or b"")


def _give_back(scope: str, holder: str, in_vain_seconds: float) -> None:
    """Give the lease back. If Redis is away, it runs out."""
    _, script = _scripts(shared_redis.connection())
    try:
        script(keys=[LEASE.format(scope=scope)], args=[holder, int(1_000 * in_vain_seconds)])
    except RedisError as error:
        log.warning("the lease of an access token runs out by itself (%s)", error)


def _share(scope: str, token: AccessToken) -> None:
    """Put a token into Redis, unless Redis is away: then this process alone uses it."""
    seconds = min(int(token.expires_at - time.time()), MAX_LIFE_SECONDS)
    if seconds <= 0:
        return
    try:
        shared_redis.connection().set(KEY.format(scope=scope), vault.encrypt(json.dumps([scope, *token])), ex=seconds)
    except RedisError as error:
        log.warning("an access token could not be shared (%s)", error)


def _read(scope: str) -> AccessToken | None:
    """Return the token in Redis; None for anything but what a worker has put there for this scope. Raises
    RedisError."""
    client: Any = shared_redis.connection()
    sealed = queues.unless_strange(lambda: client.get(KEY.format(scope=scope)), None)
    if not sealed:
        return None
    try:
        return _checked(scope, json.loads(vault.decrypt(sealed.decode("ascii"))))
    except (vault.SecretUnreadableError, ValueError):
        return None


def _checked(scope: str, found: Any) -> AccessToken | None:
    if not (isinstance(found, list) and len(found) == 4):
        return None
    of, text, made_at, expires_at = found
    if of != scope or not isinstance(text, str) or type(made_at) is not int or type(expires_at) is not int:
        return None
    is_text = 0 < len(text) <= MAX_TEXT and text.isascii() and text.isprintable()
    is_ahead = made_at > time.time() + MAX_AHEAD_SECONDS
    is_life = 0 < expires_at - made_at <= MAX_LIFE_SECONDS
    return AccessToken(text, made_at, expires_at) if is_text and is_life and not is_ahead else None
