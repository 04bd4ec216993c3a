"""Devices from a CSV file, in bulk: read and check every line first, then write in one transaction.

Columns: account_id, app, platform, environment, token[, login_status, push_status, tags]. A first line that
names them, in English or Chinese, may put them in any order; without it they stand in this order. An empty
status leaves the account as it is (a new one is logged in and accepts pushes); an empty environment, or
none in the heading, means production. Tags are parted by blanks or |; without any the device keeps those that it has.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from django.db import transaction

from pushes.models import Account, Device, DeviceEvent, mask_token
from pushes.names import App, DeviceEventKind, Environment, Platform, platform_of
from pushes.people import tags
from pushes.people.devices import InvalidDeviceError, Registration, change_of, revive
from pushes.storage import batches, bulk, clocks
from pushes.text import characters, ids, spreadsheets
from pushes.text.spreadsheets import SheetError, is_row_number

T = TypeVar("T")
COLUMNS = ("account_id", "app", "platform", "environment", "token", "login_status", "push_status", "tags")
REQUIRED = ("account_id", "app", "platform", "token")
CHUNK = 2_000
_APPS = {app.value: app for app in App}
_ENVIRONMENTS = {environment.value: environment for environment in Environment} | {"": Environment.PRODUCTION}
_PLATFORMS = frozenset((*Platform.values, "iphone", "ipad"))
_STATUSES: dict[str, int | None] = {"": None, "0": 0, "1": 1}


@dataclass(frozen=True, slots=True)
class BadLine:
    """Why a line cannot be imported. `value` is masked where it is a token."""

    line: int
    field: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.field}={ids.shown(self.value, most=100)}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    registration: Registration
    login_status: int | None
    push_status: int | None
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Parsed:
    """The usable rows and the bad lines of a file."""

    rows: list[Row] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)


class Event(NamedTuple):
    """What happened to a device, and the detail for its history."""

    device_id: int
    kind: DeviceEventKind
    detail: str


class _AccountRow(NamedTuple):
    """An Account's columns, in the database's own form."""

    account_id: str
    created_at: Any
    updated_at: Any
    login_status: int = 1
    push_status: int = 1
    muted_conversations: str = "[]"
    blocked_accounts: str = "[]"


class _DeviceRow(NamedTuple):
    """A Device's columns, in the database's own form."""

    account_id: str
    app: str
    platform: str
    environment: str
    token: str
    created_at: Any
    seen_at: Any
    is_active: bool = True
    deactivated_reason: str = ""


class _EventRow(NamedTuple):
    """A DeviceEvent's columns, in the database's own form."""

    device_id: int
    event: str
    detail: str
    created_at: Any
    reason: str = ""


class _BadLineError(ValueError):
    def __init__(self, field_name: str, value: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.value, self.reason = field_name, value, reason


def parse(lines: Iterable[str]) -> Parsed:
    """Like `parse_text`, line by line."""
    return parse_text("\n".join(line.rstrip("\r\n") for line in lines))


def parse_text(text: str) -> Parsed:
    """Every line of the file, checked. Writes nothing and raises nothing for a bad line; raises
    spreadsheets.SheetError for what is no table, or whose heading is not understood."""
    parsed = Parsed()
    table = spreadsheets.rows(text)
    columns = _header(table[0]) if table else None
    seen: dict[tuple[str, str], Row] = {}
    for line in table[1:] if columns else table:
        try:
            row = _row(line.number, columns or COLUMNS, line.cells)
            if not _is_repetition(row, seen):
                parsed.rows.append(row)
        except _BadLineError as error:
            parsed.bad.append(BadLine(line.number, error.field, error.value, error.reason))
    return parsed


def _header(first: spreadsheets.Row) -> list[str] | None:
    """The columns that the first line names ("" for one that only counts the rows), or None when it is a device.
    Raises SheetError when it is neither."""
    names = [spreadsheets.column_of(cell) for cell in first.cells]
    if _may_be_a_device(first.cells):
        return None
    odd = [cell for cell, name in zip(first.cells, names, strict=True) if not name and not is_row_number(cell)]
    missing = [name for name in REQUIRED if name not in names]
    doubled = [name for name, number in Counter(filter(None, names)).items() if number > 1]
    faults = (("is not understood", odd), ("lacks", missing), ("has more than one", doubled))
    if said := "; ".join(f"it {what}: {', '.join(map(ids.shown, which))}" for what, which in faults if which):
        raise SheetError(
            f"line {first.number}: the heading cannot be used: {said}. The columns are {','.join(COLUMNS)} (the last "
            "three optional), or in Chinese 账号,应用,平台,环境,令牌,登录状态,推送状态,标签"
        )
    return names


def _may_be_a_device(cells: Sequence[str]) -> bool:
    """Whether a line has an app or a platform where they stand without a heading."""
    given = [cell.lower() for cell in (*cells, "", "", "")]
    return given[1] in _APPS or given[2] in _PLATFORMS or given[3] in filter(None, _ENVIRONMENTS)


def _row(line: int, columns: Sequence[str], cells: list[str]) -> Row:
    account_ids = [cell for name, cell in zip(columns, cells, strict=False) if name == "account_id" and cell]
    if spreadsheets.is_total([cells[0], *account_ids] if account_ids else cells):
        raise _BadLineError("line", characters.shorten(" ".join(filter(None, cells)), 60), spreadsheets.total_advice())
    least = max(place for place, name in enumerate(columns) if name in REQUIRED) + 1
    while len(cells) > len(columns) and not cells[-1]:
        cells = cells[:-1]
    if not least <= len(cells) <= len(columns):
        raise _BadLineError("line", f"{len(cells)} columns", f"{least} to {len(columns)} are needed")
    given = dict.fromkeys(COLUMNS, "") | dict(zip(columns, cells, strict=False))
    for name in ("account_id", "token"):
        if reason := spreadsheets.spoilt(given[name]):
            shown = mask_token(given[name]) if name == "token" else characters.shorten(given[name], 80)
            raise _BadLineError(name, shown, reason)
    return Row(
        line,
        _registration(given),
        _one_of("login_status", given["login_status"], _STATUSES),
        _one_of("push_status", given["push_status"], _STATUSES),
        _tags(given["tags"]),
    )


def _tags(given: str) -> tuple[str, ...]:
    try:
        return tags.clean_all(tags.words(given))
    except tags.InvalidTagError as error:
        raise _BadLineError("tags", characters.shorten(given, 80), str(error)) from None


def _registration(given: dict[str, str]) -> Registration:
    try:
        platform = platform_of(given["platform"])
    except ValueError:
        raise _BadLineError(
            "platform", characters.shorten(given["platform"], 80), "must be one of android, ios, iphone"
        ) from None
    try:
        return Registration(
            account_id=given["account_id"],
            app=_one_of("app", given["app"], _APPS),
            platform=platform,
            environment=_one_of("environment", given["environment"], _ENVIRONMENTS),
            token=given["token"],
        )
    except InvalidDeviceError as error:
        value = mask_token(given["token"]) if error.field == "token" else characters.shorten(given[error.field], 80)
        raise _BadLineError(error.field, value, error.reason) from None


def _one_of(name: str, value: str, accepted: dict[str, T]) -> T:
    if value.lower() not in accepted:
        raise _BadLineError(name, characters.shorten(value, 80), f"must be one of {', '.join(filter(None, accepted))}")
    return accepted[value.lower()]


def _is_repetition(row: Row, seen: dict[tuple[str, str], Row]) -> bool:
    """Whether an earlier line says the same. Raises _BadLineError when it says otherwise."""
    key = (row.registration.token, row.registration.app)
    earlier = seen.setdefault(key, row)
    if earlier is row:
        return False
    if earlier.registration != row.registration:
        raise _BadLineError(
            "token", mask_token(row.registration.token), f"line {earlier.line} has this token with other values"
        )
    return (earlier.login_status, earlier.push_status, earlier.tags) == (row.login_status, row.push_status, row.tags)


def store(rows: Sequence[Row]) -> Counter[str]:
    """Write all of `rows` or, when anything fails, nothing. Returns how many devices had which event
    (`unchanged` for none), and `accounts` for accounts that were created."""
    counts: Counter[str] = Counter()
    with transaction.atomic():
        for chunk in batches.chunks(rows, CHUNK):
            counts["accounts"] += _store_accounts(chunk)
            counts.update(_store_devices([row.registration for row in chunk]))
            counts["tagged"] += _store_tags(chunk)
    return counts


def _store_tags(rows: Sequence[Row]) -> int:
    """Those that the file gives. Of several lines about one device the last with tags counts."""
    given = {(row.registration.token, row.registration.app.value): row.tags for row in rows if row.tags}
    found = Device.objects.filter(token__in={token for token, _ in given}) if given else Device.objects.none()
    known = found.values_list("pk", "token", "app")
    return tags.replace({pk: given[token, app] for pk, token, app in known if (token, app) in given})


def _store_accounts(rows: Sequence[Row]) -> int:
    wanted = {row.registration.account_id for row in rows}
    missing = wanted - set(Account.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    now = bulk.db_datetime(clocks.now())
    accounts = [_AccountRow(account_id, created_at=now, updated_at=now) for account_id in sorted(missing)]
    bulk.insert_rows(Account, accounts, ignore_conflicts=True)
    for column in ("login_status", "push_status"):
        for value in (0, 1):
            chosen = [row.registration.account_id for row in rows if getattr(row, column) == value]
            # Where it is so already, as in most accounts, nothing is written.
            stale = Account.objects.filter(pk__in=chosen).exclude(**{column: value}) if chosen else None
            if stale is not None:
                stale.update(**{column: value})
    return len(missing)


def _store_devices(wanted: Sequence[Registration]) -> Counter[str]:
    tokens = [item.token for item in wanted]
    found = Device.objects.select_for_update().filter(token__in=tokens)
    known = {(device.token, device.app): device for device in found}
    fresh = [item for item in wanted if (item.token, item.app) not in known]
    events = _insert(fresh)
    changed: list[Device] = []
    for item in wanted:
        device = known.get((item.token, item.app))
        if device is not None and (event := _change(device, item)):
            changed.append(device)
            events.append(event)
    Device.objects.bulk_update(changed, UPDATED, batch_size=500)
    # They were the former users' tags.
    tags.replace({event.device_id: () for event in events if event.kind is DeviceEventKind.MOVED})
    now = bulk.db_datetime(clocks.now())
    rows = [_EventRow(one.device_id, one.kind.value, f"{one.detail} (import)"[:200], created_at=now) for one in events]
    bulk.insert_rows(DeviceEvent, rows)
    counts = Counter(event.kind.value for event in events)
    counts["unchanged"] = len(wanted) - len(events)
    return counts


UPDATED = ["account", "platform", "environment", "is_active", "deactivated_reason", "deactivated_at", "seen_at"]


def _change(device: Device, item: Registration) -> Event | None:
    """Make a known device what the file says; None when it is so already."""
    event, detail = change_of(device, item)
    if event is None:
        if (device.platform, device.environment) == (item.platform, item.environment):
            return None
        event, detail = DeviceEventKind.REGISTERED, "platform or environment corrected"
    device.account_id, device.platform, device.environment = item.account_id, item.platform, item.environment
    revive(device)
    return Event(device.pk, event, detail)


def _insert(fresh: Sequence[Registration]) -> list[Event]:
    now = bulk.db_datetime(clocks.now())
    rows = [
        _DeviceRow(
            account_id=item.account_id,
            app=item.app.value,
            platform=item.platform.value,
            environment=item.environment.value,
            token=item.token,
            created_at=now,
            seen_at=now,
        )
        for item in fresh
    ]
    bulk.insert_rows(Device, rows)
    owners = {(item.token, item.app.value): item.account_id for item in fresh}
    stored = Device.objects.filter(token__in=[item.token for item in fresh]).values_list("pk", "token", "app")
    return [
        Event(pk, DeviceEventKind.REGISTERED, f"to {owners[token, app]}")
        for pk, token, app in stored
        if (token, app) in owners
    ]
