"""Read accounts and devices from an existing SQL schema, so that no user table has to be copied.

DIRECTORY_DATABASE_URL names the second database, which is only read; the DIRECTORY_…_SQL settings are its queries.
docs/directory.md lists their placeholders and columns.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from pushes.models import Device
from pushes.names import App, Channel, Environment, Platform, platform_of
from pushes.people import channels, sql_source
from pushes.people.directory import DevicePage, DirectoryError, UnlistableError, online
from pushes.people.sql_source import Places, Query, is_on, text
from pushes.text import device_tokens, exact_json, ids
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.values import AccountFacts, DeviceTarget

log = logging.getLogger(__name__)
#: What has been logged, and how many different messages are logged at most: they contain ids and values from rows.
_SAID: set[str] = set()
MAX_PROBLEMS = 200

ACCOUNTS = Query("DIRECTORY_ACCOUNTS_SQL", ("ids",), ("account_id", "login_status", "push_status"))
DEVICES = Query("DIRECTORY_DEVICES_SQL", ("ids",), ("account_id", "platform", "token"), optional=("app",))
ALL_DEVICES = Query(
    "DIRECTORY_ALL_DEVICES_SQL",
    ("after", "limit"),
    ("row_id", "account_id", "platform", "token"),
    optional=("app",),
)
#: The page size in queries that are only counted.
ALL_ROWS = 2**31 - 1


class SqlDirectory:
    """A directory (see `pushes.people.directory`) over the `directory` database.

    Tokens that a provider has refused stay refused: they are remembered as inactive devices in our own table, since we
    do not write to this database. A device that cannot be pushed to (an unknown platform, a missing or invalid token)
    is left out, and the log says so once, with the number of such devices.
    """

    @staticmethod
    def check() -> list[str]:
        return check()

    def accounts(self, account_ids: Sequence[str]) -> dict[str, AccountFacts]:
        if not account_ids:
            return {}
        rows = sql_source.ask(ACCOUNTS, {"ids": account_ids})
        return {facts.account_id: facts for facts in map(_facts, rows) if facts.account_id}

    def devices(self, account_ids: Sequence[str], app: str) -> dict[str, list[DeviceTarget]]:
        if not account_ids:
            return {}
        found: dict[str, list[DeviceTarget]] = defaultdict(list)
        for device in _usable(sql_source.ask(DEVICES, {"ids": account_ids, "app": [app]}), app):
            found[device.account_id].append(device)
        return found

    def online(self, account_ids: Sequence[str]) -> set[str]:
        return online(account_ids)

    def page(self, app: str, platform: str, *, after: int, limit: int, tag: str = "") -> DevicePage:
        _refuse_tag(tag)
        _refuse_without_query()
        rows = sql_source.ask(ALL_DEVICES, {"app": [app], "after": [after], "limit": [limit]})
        found = [device for device in _usable(rows, app) if not platform or device.platform == platform]
        return DevicePage(found, _last_position(rows, after), len(rows) < limit)

    def count(self, app: str, platform: str, *, tag: str = "") -> int:
        """Return the number of devices, without the refused tokens of the whole app."""
        _refuse_tag(tag)
        _refuse_without_query()
        places: Places = {"app": [app], "after": [0], "limit": [ALL_ROWS]}
        found = sql_source.count_by(ALL_DEVICES, "platform", places)
        wanted = [number for value, number in found if (known := _platform(text(value))) and platform in ("", known)]
        refused = _refused(app).filter(platform=platform) if platform else _refused(app)
        return max(0, sum(wanted) - refused.count())


def check() -> list[str]:
    """Return the problems of this directory's settings, for the system check; empty when there are none."""
    problems = [] if sql_source.is_configured() else [sql_source.NO_DATABASE]
    for query in (ACCOUNTS, DEVICES):
        problems += sql_source.problems(query)
    if ALL_DEVICES.text:
        problems += sql_source.problems(ALL_DEVICES)
    return problems


def _refuse_tag(tag: str) -> None:
    if tag:
        raise UnlistableError(Note(Sentence.KNOWS_NO_TAGS, tag=tag))


def _refuse_without_query() -> None:
    if not ALL_DEVICES.text:
        raise UnlistableError(Note(Sentence.NO_LISTING, setting=ALL_DEVICES.setting))


def _last_position(rows: Sequence[Mapping[str, Any]], after: int) -> int:
    """Return the cursor of the next page. Raises DirectoryError when the query does not return ascending positions."""
    for row in rows:
        position = row["row_id"]
        if not isinstance(position, int) or position <= after:
            raise DirectoryError(
                Note(Sentence.ROW_ORDER, setting=ALL_DEVICES.setting, row=repr(position), before=after)
            )
        after = position
    return after


def _facts(row: Mapping[str, Any]) -> AccountFacts:
    return AccountFacts(
        account_id=_account_id(row),
        is_logged_in=is_on(row["login_status"]),
        accepts_pushes=is_on(row["push_status"]),
        muted=_names(row.get("muted_conversations")),
        blocked=_blocked(row.get("blocked_accounts")),
    )


def _blocked(value: object) -> frozenset[str]:
    """Return the account ids in a list of blocked accounts, normalised."""
    names = _names(value) - {""}
    for name in names:
        if not ids.found(name):
            _say_once(f"blocked accounts are left out: {ids.shown(name)} is not a valid account id: {ids.fault(name)}")
    return frozenset(filter(None, map(ids.found, names)))


def _names(value: object) -> frozenset[str]:
    """Read a JSON array or a comma-separated list; empty for NULL and for invalid JSON."""
    shown = text(value).strip()
    if not shown.startswith("["):
        return frozenset(item.strip() for item in shown.split(",") if item.strip())
    try:
        listed = exact_json.loads(shown.encode(errors="replace"))
        return frozenset(text(item).strip() for item in listed if isinstance(item, str | int | float))
    except exact_json.JsonError:
        _say_once(f"{ACCOUNTS.setting}: a list is not a JSON array and is treated as empty: {shown[:60]!r}")
        return frozenset()


def _usable(rows: Sequence[Mapping[str, Any]], app: str) -> list[DeviceTarget]:
    """Return the devices that can be pushed to, each once, without those that a provider has refused."""
    impossible: Counter[str] = Counter()
    known = channels.Known.read() if rows else channels.Known()
    found = [device for row in rows if (device := _target(row, App(app), known, impossible))]
    for reason, number in impossible.items():
        _say_once(f"devices are left out: {reason}", number)
    tokens = [device.token for device in found]
    # Apple's tokens are the same in several channels: what one refuses, another may accept.
    refused = set(_refused(app).filter(token__in=tokens).values_list("token", "channel"))
    return list(dict.fromkeys(device for device in found if (device.token, device.channel) not in refused))


def _target(row: Mapping[str, Any], app: App, known: channels.Known, impossible: Counter[str]) -> DeviceTarget | None:
    """Return a row's device; None for a row without one. `impossible` counts invalid tokens by reason."""
    token, account_id = text(row["token"]).strip(), _account_id(row)
    platform = _platform(text(row["platform"]))
    environment = _environment(text(row.get("environment")))
    if not (token and account_id and platform and environment):
        return None
    channel = _channel(text(row.get("channel")), app, platform, environment, known)
    if channel is None:
        return None
    try:
        spelled = device_tokens.spelled(token, platform, channel)
        return DeviceTarget(None, account_id, platform, environment, spelled, channel, _installation(row))
    except device_tokens.InvalidTokenError as error:
        impossible[f"the token of an {platform.label} device is not valid: {error}"] += 1
        return None


def _account_id(row: Mapping[str, Any]) -> str:
    given = text(row["account_id"])
    found = ids.found(given)
    if given and not found:
        _say_once(f"accounts are left out: {ids.shown(given)} is not a valid account id: {ids.fault(given)}")
    return found


def _platform(value: str) -> Platform | None:
    try:
        return platform_of(value)
    except ValueError as error:
        _say_once(f"devices of a platform are left out: {error}")
        return None


def _environment(value: str) -> Environment | None:
    try:
        return Environment(value or Environment.PRODUCTION)
    except ValueError:
        _say_once(f"devices of environment {value!r} are left out: it must be one of {', '.join(Environment.values)}")
        return None


def _channel(
    value: str, app: App, platform: Platform, environment: Environment, known: channels.Known
) -> Channel | None:
    try:
        if value.strip():
            return channels.named(value, platform)
        return channels.meant(known.fitting(app, platform, environment), platform)
    except channels.ChannelError as error:
        _say_once(f"{platform.label} devices of channel {value!r} are left out: {error}")
        return None


def _installation(row: Mapping[str, Any]) -> str:
    """Return the id of a row's installation; "" for none, and for an invalid one: the device can be reached all the
    same."""
    try:
        return device_tokens.installation(text(row.get("installation_id")))
    except device_tokens.InvalidTokenError as error:
        _say_once(f"installation ids are ignored: {error}")
        return ""


def _say_once(problem: str, number: int = 1) -> None:
    """Log a problem once per process, with the number of rows in the first query that had it: one wrong column causes
    the same problem in a million rows."""
    if problem not in _SAID and len(_SAID) < MAX_PROBLEMS:
        _SAID.add(problem)
        log.warning("directory: %s%s", problem, f" ({number} in one query)" if number > 1 else "")


def _refused(app: str) -> "QuerySet[Device]":
    return Device.objects.filter(app=app, is_active=False)
