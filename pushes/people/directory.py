"""Look up accounts and their devices in bulk. The DIRECTORY setting (a dotted path) replaces the directory."""

import math
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.db import OperationalError
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from pushes.models import Account, Device, DeviceTag
from pushes.names import Channel, Environment, Platform
from pushes.storage import shared_redis
from pushes.text.notes import NotedError
from pushes.values import AccountFacts, DeviceTarget

# Calling an enum costs ten look-ups, and a large group needs twenty thousand calls.
_PLATFORMS = {member.value: member for member in Platform}
_ENVIRONMENTS = {member.value: member for member in Environment}
_CHANNELS = {member.value: member for member in Channel}
_COLUMNS = ("account_id", "platform", "environment", "token", "channel", "installation_id")


class DirectoryError(NotedError, OperationalError):
    """A custom directory cannot answer now, as `note` says. That says nothing about the pushes: they wait."""

    #: See `pushes.storage.outages`.
    passes = True


class UnlistableError(NotedError):
    """The directory cannot list these devices (it knows devices only by account, or has no tags). `note` says what to
    do."""


class DevicePage(NamedTuple):
    """Some of an app's devices, and where the next page begins."""

    devices: list[DeviceTarget]
    cursor: int
    is_last: bool


class Directory(Protocol):
    """A source of accounts and devices. Each method takes all ids of a batch; unknown accounts are absent from the
    answer.

    A directory with its own database raises DirectoryError when the database is unavailable.
    """

    def accounts(self, account_ids: Sequence[str]) -> dict[str, AccountFacts]: ...

    def devices(self, account_ids: Sequence[str], app: str) -> dict[str, list[DeviceTarget]]:
        """Return the active devices of each account in `app`."""
        ...

    def online(self, account_ids: Sequence[str]) -> set[str]:
        """Return the accounts that are online now."""
        ...

    def page(self, app: str, platform: str, *, after: int, limit: int, tag: str = "") -> DevicePage:
        """Return the next active devices of `app` (and of `platform` and with `tag`, unless ""). `after` is the last
        page's cursor, 0 at first. Raises UnlistableError."""
        ...

    def count(self, app: str, platform: str, *, tag: str = "") -> int:
        """Return about how many devices all pages have. Raises UnlistableError."""
        ...


def presence_key(account_id: str) -> str:
    return str(settings.PRESENCE_KEY.format(account_id=account_id))


def online(account_ids: Sequence[str]) -> set[str]:
    """Return the accounts that are online: their presence key exists in Redis. Raises redis.RedisError."""
    if not account_ids:
        return set()
    values: Any = shared_redis.connection().mget([presence_key(account_id) for account_id in account_ids])
    return {account_id for account_id, value in zip(account_ids, values, strict=True) if value is not None}


def read_positions(asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Return the read positions of (account, conversation) pairs, from READ_POSITION_KEY: the greatest sequence number
    that the account has seen. A pair without a position, or with a position that is not a number, is absent. Raises
    redis.RedisError."""
    template = settings.READ_POSITION_KEY
    if not template or not asked:
        return {}
    keys = [template.format(account_id=account_id, conversation=conversation) for account_id, conversation in asked]
    values: Any = shared_redis.connection().mget(keys)
    found: dict[tuple[str, str], float] = {}
    for pair, value in zip(asked, values, strict=True):
        with suppress(TypeError, ValueError):
            found[pair] = float(value)
    return {pair: position for pair, position in found.items() if math.isfinite(position)}


def as_targets(devices: "QuerySet[Device]") -> list[DeviceTarget]:
    """Return devices of our table as what is pushed to."""
    return [as_target(row) for row in devices.values_list("id", *_COLUMNS)]


def as_target(row: tuple[Any, ...]) -> DeviceTarget:
    """Return the device with these columns: its id, and _COLUMNS."""
    device_id, account_id, platform, environment, token, channel, installation_id = row
    return DeviceTarget(
        device_id,
        account_id,
        _PLATFORMS[platform],
        _ENVIRONMENTS[environment],
        token,
        _CHANNELS[channel],
        installation_id,
    )


class TableDirectory:
    """Accounts and devices from this platform's own tables, presence from Redis."""

    def accounts(self, account_ids: Sequence[str]) -> dict[str, AccountFacts]:
        rows = Account.objects.filter(account_id__among=account_ids).values_list(
            "account_id", "login_status", "push_status", "muted_conversations", "blocked_accounts"
        )
        return {
            account_id: AccountFacts(
                account_id, login == 1, push == 1, frozenset(muted or ()), frozenset(map(str, blocked or ()))
            )
            for account_id, login, push, muted, blocked in rows
        }

    def devices(self, account_ids: Sequence[str], app: str) -> dict[str, list[DeviceTarget]]:
        rows = Device.objects.filter(account__account_id__among=account_ids, app=app, is_active=True).values_list(
            "id", *_COLUMNS
        )
        found: dict[str, list[DeviceTarget]] = defaultdict(list)
        for row in rows:
            found[row[1]].append(as_target(row))
        return found

    def online(self, account_ids: Sequence[str]) -> set[str]:
        return online(account_ids)

    def page(self, app: str, platform: str, *, after: int, limit: int, tag: str = "") -> DevicePage:
        if tag:
            # The index on (app, tag, device) has them in order already, even if only a few devices have the tag.
            tagged = _tagged(app, platform, tag).filter(device_id__gt=after).order_by("device_id")
            rows = list(tagged.values_list("device_id", *(f"device__{name}" for name in _COLUMNS))[:limit])
        else:
            every = _of_app(app, platform).filter(id__gt=after).order_by("id")
            rows = list(every.values_list("id", *_COLUMNS)[:limit])
        return DevicePage([as_target(row) for row in rows], rows[-1][0] if rows else after, len(rows) < limit)

    def count(self, app: str, platform: str, *, tag: str = "") -> int:
        return _tagged(app, platform, tag).count() if tag else _of_app(app, platform).count()


def _of_app(app: str, platform: str) -> "QuerySet[Device]":
    found = Device.objects.filter(app=app, is_active=True)
    return found.filter(platform=platform) if platform else found


def _tagged(app: str, platform: str, tag: str) -> "QuerySet[DeviceTag]":
    found = DeviceTag.objects.filter(app=app, tag=tag, device__is_active=True)
    return found.filter(device__platform=platform) if platform else found


#: Former paths of the two directories. The DIRECTORY setting may name them for one more release; a check warns.
FORMER_PATHS = {
    "pushes.directory.TableDirectory": "pushes.people.directory.TableDirectory",
    "pushes.sqldirectory.SqlDirectory": "pushes.people.sql_directory.SqlDirectory",
}


def chosen() -> type[Directory]:
    """Return the class that the DIRECTORY setting names. Raises ImportError."""
    path = settings.DIRECTORY
    found: type[Directory] = import_string(FORMER_PATHS.get(path, path))
    return found


@lru_cache(maxsize=4)
def _load(_path: str) -> Directory:
    return chosen()()


def directory() -> Directory:
    """Return the configured directory; one instance per process."""
    return _load(settings.DIRECTORY)
