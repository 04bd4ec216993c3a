"""Devices from a CSV file, in bulk: read and check every line first, then write in one transaction.

Columns: account_id, app, platform, environment, token[, login_status, push_status, tags, channel, installation_id]. A
first line that names them, in English or Chinese, may put them in any order; without it they stand in this order. An
empty status leaves the account unchanged (a new account is logged in and accepts pushes); an empty environment, or none
in the heading, means production. Tags are separated by spaces or |; without any the device keeps its tags. Without a
channel it follows from the app keys (see `channels`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from django.db import transaction

from pushes.models import Account, Device, DeviceEvent, mask_token
from pushes.names import ACCEPTED_PLATFORMS, App, DeviceEventKind, Environment, Platform, platform_of
from pushes.people import devices, tags
from pushes.people.channels import Known
from pushes.people.devices import InvalidDeviceError, Registration
from pushes.storage import batches, bulk, clocks
from pushes.text import characters, ids, spreadsheets
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.text.spreadsheets import SheetError, is_row_number

T = TypeVar("T")
COLUMNS: tuple[str, ...] = ("account_id", "app", "platform", "environment", "token")
COLUMNS += ("login_status", "push_status", "tags", "channel", "installation_id")
REQUIRED = ("account_id", "app", "platform", "token")
CHUNK = 2_000
_APPS = {app.value: app for app in App}
_ENVIRONMENTS = {environment.value: environment for environment in Environment} | {"": Environment.PRODUCTION}
_PLATFORMS = frozenset((*Platform.values, "iphone", "ipad"))
_STATUSES: dict[str, int | None] = {"": None, "0": 0, "1": 1}


@dataclass(frozen=True, slots=True)
class BadLine:
    """Why a line cannot be imported. `value` is masked if it is a token."""

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
    """What happened to a device, and the details for its history."""

    device_id: int
    kind: DeviceEventKind
    details: Sequence[Note]


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
    channel: str
    token: str
    installation_id: str
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
    """Read and check every line of the file. Writes nothing, and collects bad lines without raising. Raises
    spreadsheets.SheetError when the file is not a table, or its heading is not understood."""
    parsed, known = Parsed(), Known.read()
    table = spreadsheets.rows(text)
    columns = _header(table[0]) if table else None
    seen: dict[tuple[str, str], Row] = {}
    for line in table[1:] if columns else table:
        try:
            row = _row(line.number, columns or COLUMNS, line.cells, known)
            if not _is_repetition(row, seen):
                parsed.rows.append(row)
        except _BadLineError as error:
            parsed.bad.append(BadLine(line.number, error.field, error.value, error.reason))
    return parsed


def _header(first: spreadsheets.Row) -> list[str] | None:
    """Return the columns that the first line names ("" for a row number), or None when that line is a device. Raises
    SheetError when it is neither."""
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
            "five optional), or in Chinese 账号,应用,平台,环境,令牌,登录状态,推送状态,标签,通道,安装标识"
        )
    return names


def _may_be_a_device(cells: Sequence[str]) -> bool:
    """Whether a line has an app or a platform in the default columns."""
    given = [cell.lower() for cell in (*cells, "", "", "")]
    return given[1] in _APPS or given[2] in _PLATFORMS or given[3] in filter(None, _ENVIRONMENTS)


def _row(line: int, columns: Sequence[str], cells: list[str], known: Known) -> Row:
    account_ids = [cell for name, cell in zip(columns, cells, strict=False) if name == "account_id" and cell]
    if spreadsheets.is_total([cells[0], *account_ids] if account_ids else cells):
        raise _BadLineError("line", characters.shorten(" ".join(filter(None, cells)), 60), spreadsheets.total_advice())
    least = max(place for place, name in enumerate(columns) if name in REQUIRED) + 1
    while len(cells) > len(columns) and not cells[-1]:
        cells = cells[:-1]
    if not least <= len(cells) <= len(columns):
        raise _BadLineError("line", f"{len(cells)} columns", f"{least} to {len(columns)} are required")
    given = dict.fromkeys(COLUMNS, "") | dict(zip(columns, cells, strict=False))
    for name in ("account_id", "token"):
        if reason := spreadsheets.spoilt(given[name]):
            shown = mask_token(given[name]) if name == "token" else characters.shorten(given[name], 80)
            raise _BadLineError(name, shown, reason)
    return Row(
        line,
        _registration(given, known),
        _one_of("login_status", given["login_status"], _STATUSES),
        _one_of("push_status", given["push_status"], _STATUSES),
        _tags(given["tags"]),
    )


def _tags(given: str) -> tuple[str, ...]:
    try:
        return tags.clean_all(tags.words(given))
    except tags.InvalidTagError as error:
        raise _BadLineError("tags", characters.shorten(given, 80), str(error)) from None


def _registration(given: dict[str, str], known: Known) -> Registration:
    try:
        platform = platform_of(given["platform"])
    except ValueError:
        raise _BadLineError(
            "platform", characters.shorten(given["platform"], 80), f"must be one of {', '.join(ACCEPTED_PLATFORMS)}"
        ) from None
    try:
        return devices.registration(
            account_id=given["account_id"],
            app=_one_of("app", given["app"], _APPS),
            platform=platform,
            environment=_one_of("environment", given["environment"], _ENVIRONMENTS),
            token=given["token"],
            channel=given["channel"],
            installation_id=given["installation_id"],
            known=known,
        )
    except InvalidDeviceError as error:
        value = mask_token(given["token"]) if error.field == "token" else characters.shorten(given[error.field], 80)
        raise _BadLineError(error.field, value, error.reason) from None


def _one_of(name: str, value: str, accepted: dict[str, T]) -> T:
    if value.lower() not in accepted:
        raise _BadLineError(name, characters.shorten(value, 80), f"must be one of {', '.join(filter(None, accepted))}")
    return accepted[value.lower()]


def _is_repetition(row: Row, seen: dict[tuple[str, str], Row]) -> bool:
    """Whether an earlier line is the same. Raises _BadLineError when an earlier line contradicts it."""
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
    """Write all `rows` or, if anything fails, nothing. Returns the number of devices by event (`unchanged` for none),
    and `accounts` for created accounts."""
    counts: Counter[str] = Counter()
    with transaction.atomic():
        for chunk in batches.chunks(rows, CHUNK):
            counts["accounts"] += _store_accounts(chunk)
            counts.update(_store_devices([row.registration for row in chunk]))
            counts["tagged"] += _store_tags(chunk)
    return counts


def _store_tags(rows: Sequence[Row]) -> int:
    """Store the tags of the file. Of several lines about one device the last with tags counts."""
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
            # Accounts that are already as the file says, as most are, are not written.
            stale = Account.objects.filter(pk__in=chosen).exclude(**{column: value}) if chosen else None
            if stale is not None:
                stale.update(**{column: value})
    return len(missing)


def _store_devices(wanted: Sequence[Registration]) -> Counter[str]:
    found = Device.objects.select_for_update().filter(token__in=[item.token for item in wanted])
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
    # The tags belonged to the former users.
    tags.replace({event.device_id: () for event in events if event.kind is DeviceEventKind.MOVED})
    now, imported = bulk.db_datetime(clocks.now()), Note(Sentence.IMPORTED)
    rows = [
        _EventRow(one.device_id, one.kind.value, devices.event_detail(*one.details, imported), created_at=now)
        for one in events
    ]
    bulk.insert_rows(DeviceEvent, rows)
    _settle_installations(wanted)
    counts = Counter(event.kind.value for event in events)
    counts["unchanged"] = len(wanted) - len(events)
    return counts


UPDATED = ["account", "platform", "environment", "channel", "installation_id"]
UPDATED += ["is_active", "deactivated_reason", "deactivated_at", "seen_at"]


def _settle_installations(wanted: Sequence[Registration]) -> None:
    """Have the other tokens of the installations follow, in the order of the file."""
    places = {(item.token, item.app.value): place for place, item in enumerate(wanted) if item.installation_id}
    if places:
        named = Device.objects.filter(token__in=[token for token, _ in places])
        ours = [device for device in named if (device.token, device.app) in places]
        devices.settle_installations(sorted(ours, key=lambda device: places[device.token, device.app]))


def _change(device: Device, item: Registration) -> Event | None:
    """Change a known device as the file says; None when nothing changes."""
    item = devices.completed(item, device)
    event, details = devices.change_of(device, item)
    if event is None and device.installation_id != item.installation_id:
        what = f"installation_id {item.installation_id}"
        event, details = DeviceEventKind.CORRECTED, [Note(Sentence.CHANGED, what=what)]
    if event is None:
        return None
    devices.apply(device, item)
    return Event(device.pk, event, details)


def _insert(fresh: Sequence[Registration]) -> list[Event]:
    now = bulk.db_datetime(clocks.now())
    rows = [
        _DeviceRow(
            account_id=item.account_id,
            app=item.app.value,
            platform=item.platform.value,
            environment=item.environment.value,
            channel=item.channel.value,
            token=item.token,
            installation_id=item.installation_id,
            created_at=now,
            seen_at=now,
        )
        for item in fresh
    ]
    bulk.insert_rows(Device, rows)
    owners = {(item.token, item.app.value): item.account_id for item in fresh}
    stored = Device.objects.filter(token__in=[item.token for item in fresh]).values_list("pk", "token", "app")
    return [
        Event(pk, DeviceEventKind.REGISTERED, [Note(Sentence.TO_ACCOUNT, account=owners[token, app])])
        for pk, token, app in stored
        if (token, app) in owners
    ]
