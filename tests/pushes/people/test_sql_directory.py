"""Accounts and devices out of somebody else's schema: a real second database, queries with names of its own."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from pushes.broadcasts import audiences, expansion, lifecycle
from pushes.distribution.distribute import distribute
from pushes.history.timeline import timeline
from pushes.models import Broadcast, DeliveryResult, Device, PushRecord
from pushes.names import App, Channel, Environment, Platform, ProviderKind, PushType, Reason, RecordStatus, Status
from pushes.people import devices, sql_directory
from pushes.people.directory import DirectoryError, UnlistableError
from pushes.people.sql_directory import SqlDirectory, check
from pushes.sending.job import deliver
from pushes.submit import InvalidMessageError, submit
from pushes.upkeep.sweep import sweep
from tests.foreign import attached
from tests.make import make_app_key, make_broadcast, make_device, make_secret
from tests.pushes.rows import make_delivery, make_message
from tests.redis_database import empty
from tests.sandbox_process import Sandbox

pytestmark = pytest.mark.django_db

ACCOUNTS = (
    "SELECT uid AS account_id, (state = 'in') AS login_status, 1 - quiet AS push_status, "
    "muted AS muted_conversations FROM hg_user WHERE uid IN ({ids})"
)
DEVICES = (
    "SELECT uid AS account_id, os AS platform, xg_token AS token FROM hg_phone "
    "WHERE app LIKE 'hi%' AND app = {app} AND uid IN ({ids})"
)
ALL_DEVICES = (
    "SELECT rowid AS row_id, uid AS account_id, os AS platform, xg_token AS token FROM hg_phone "
    "WHERE app = {app} AND rowid > {after} ORDER BY rowid LIMIT {limit};"
)
DEAD = "dead0000" + "1" * 32
IPHONE, ANDROID, SELLERS = "aa01" * 16, "bb02" * 10, "cc03" * 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "theirs.sqlite3"


@pytest.fixture
def schema(path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """HIGO's own tables, as far as the queries name them."""
    theirs = sqlite3.connect(path, isolation_level=None)
    theirs.executescript(
        f"""
        CREATE TABLE hg_user (uid TEXT, state TEXT, quiet INT, muted TEXT);
        CREATE TABLE hg_phone (uid TEXT, app TEXT, os TEXT, xg_token TEXT);
        INSERT INTO hg_user VALUES ('1', 'in', 0, 'group:7, group:8'), ('2', 'out', 0, NULL),
            ('3', 'in', 1, '["group:9"]');
        INSERT INTO hg_phone VALUES ('1', 'higo', 'iphone', '{IPHONE}'), ('1', 'higo', 'android', '{ANDROID}'),
            ('1', 'higirl', 'android', '{SELLERS}'), ('3', 'higo', 'android', NULL);
        """
    )
    settings.DIRECTORY = "pushes.people.sql_directory.SqlDirectory"
    settings.DIRECTORY_ACCOUNTS_SQL, settings.DIRECTORY_DEVICES_SQL = ACCOUNTS, DEVICES
    with attached(f"sqlite:///{path}", monkeypatch):
        yield theirs
    theirs.close()


def test_accounts_are_read_by_the_configured_query(schema: sqlite3.Connection) -> None:
    found = SqlDirectory().accounts(["1", "2", "3", "nobody"])
    assert {name: (facts.is_logged_in, facts.accepts_pushes) for name, facts in found.items()} == {
        "1": (True, True),
        "2": (False, True),
        "3": (True, False),
    }


def test_lists_are_taken_as_json_or_with_commas(schema: sqlite3.Connection) -> None:
    found = SqlDirectory().accounts(["1", "2", "3"])
    assert found["1"].muted == {"group:7", "group:8"}
    assert found["2"].muted == frozenset()
    assert found["3"].muted == {"group:9"}


def test_devices_are_those_of_the_app(schema: sqlite3.Connection) -> None:
    (found,) = SqlDirectory().devices(["1", "3"], "higo").values()
    assert {(device.platform, device.token) for device in found} == {
        (Platform.IOS, IPHONE),
        (Platform.ANDROID, ANDROID),
    }
    assert {device.environment for device in found} == {Environment.PRODUCTION}


WITH_CHANNELS = DEVICES.replace(
    " FROM", ", iif(os = 'iphone', 'apns', NULL) AS channel, uid || '-installation' AS installation_id FROM", 1
)


def test_a_channel_and_an_installation_may_be_columns(schema: sqlite3.Connection, settings: Settings) -> None:
    settings.DIRECTORY_DEVICES_SQL = WITH_CHANNELS
    make_app_key(provider=ProviderKind.FCM)
    found = {device.token: device for device in SqlDirectory().devices(["1"], "higo")["1"]}
    assert {token: (device.channel, device.installation_id) for token, device in found.items()} == {
        IPHONE: (Channel.APNS, "1-installation"),
        ANDROID: (Channel.FCM, "1-installation"),
    }


@pytest.mark.parametrize(
    ("column", "value", "left"),
    [("channel", "wechat", set()), ("channel", "huawei", {ANDROID}), ("installation_id", "short", {IPHONE, ANDROID})],
)
def test_what_is_wrong_in_those_columns_spoils_no_other_row(
    schema: sqlite3.Connection, settings: Settings, column: str, value: str, left: set[str]
):
    settings.DIRECTORY_DEVICES_SQL = DEVICES.replace(" FROM", f", '{value}' AS {column} FROM", 1)
    found = SqlDirectory().devices(["1"], "higo").get("1", [])
    assert {device.token for device in found} == left
    assert {device.installation_id for device in found} <= {""}


def test_what_xinge_refused_is_tried_once_more_by_apple(schema: sqlite3.Connection, settings: Settings) -> None:
    make_device(token=IPHONE, platform=Platform.IOS, is_active=False)
    assert [device.token for device in SqlDirectory().devices(["1"], "higo")["1"]] == [ANDROID]
    settings.DIRECTORY_DEVICES_SQL = WITH_CHANNELS
    assert IPHONE in {device.token for device in SqlDirectory().devices(["1"], "higo")["1"]}
    devices.refuse({IPHONE: "1"}, ("higo", "ios", "production", "apns"), Reason.BAD_TOKEN)
    assert IPHONE not in {device.token for device in SqlDirectory().devices(["1"], "higo")["1"]}


def test_a_refused_token_stays_refused(schema: sqlite3.Connection) -> None:
    make_device(token=ANDROID, is_active=False)
    assert [device.token for device in SqlDirectory().devices(["1"], "higo")["1"]] == [IPHONE]


def test_no_ids_ask_nothing(schema: sqlite3.Connection) -> None:
    schema.execute("DROP TABLE hg_user")
    assert SqlDirectory().accounts([]) == {}


def test_a_missing_column_is_named(schema: sqlite3.Connection, settings: Settings) -> None:
    settings.DIRECTORY_ACCOUNTS_SQL = "SELECT uid AS account_id FROM hg_user WHERE uid IN ({ids})"
    with pytest.raises(DirectoryError, match="returns no column “login_status”, only account_id"):
        SqlDirectory().accounts(["1"])


@pytest.mark.parametrize(
    ("column", "value"), [("os", "symbian"), ("os", None), ("uid", None), ("xg_token", ""), ("xg_token", "a" * 129)]
)
def test_a_device_that_cannot_be_pushed_to_takes_no_other_with_it(schema: sqlite3.Connection, column: str, value: Any):
    schema.execute(f"UPDATE hg_phone SET {column} = ? WHERE xg_token = '{IPHONE}'", (value,))
    (found,) = SqlDirectory().devices(["1"], "higo").values()
    assert [device.token for device in found] == [ANDROID]


def test_an_unknown_environment_is_left_out(schema: sqlite3.Connection, settings: Settings):
    environment = ", iif(os = 'iphone', 'local', 'moon') AS environment FROM"
    settings.DIRECTORY_DEVICES_SQL = DEVICES.replace(" FROM", environment, 1)
    (device,) = SqlDirectory().devices(["1"], "higo")["1"]
    assert (device.token, device.environment) == (IPHONE, Environment.LOCAL)


@pytest.mark.parametrize("written", [IPHONE.upper(), f"<{IPHONE[:8]} {IPHONE[8:]}>", f" {IPHONE.replace('a', 'A')}"])
def test_an_iphone_is_one_device_however_its_token_is_written(schema: sqlite3.Connection, written: str):
    schema.execute("INSERT INTO hg_phone VALUES ('1', 'higo', 'iphone', ?)", (written,))
    found = SqlDirectory().devices(["1"], "higo")["1"]
    assert sorted(device.token for device in found) == [IPHONE, ANDROID]


def test_the_letter_case_of_an_android_token_counts(schema: sqlite3.Connection):
    schema.execute("INSERT INTO hg_phone VALUES ('1', 'higo', 'android', ?)", (ANDROID.upper(),))
    assert ANDROID.upper() in {device.token for device in SqlDirectory().devices(["1"], "higo")["1"]}


def test_impossible_tokens_are_left_out_and_counted(schema: sqlite3.Connection, caplog: pytest.LogCaptureFixture):
    rows = [("iphone", "undefined"), ("iphone", IPHONE[:-1]), ("android", "null"), ("android", "NULL")]
    schema.executemany("INSERT INTO hg_phone VALUES ('1', 'higo', ?, ?)", rows)
    sql_directory._SAID.clear()
    for _ in range(2):
        assert len(SqlDirectory().devices(["1"], "higo")["1"]) == 2
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert any("where it has no token (2 in one query)" in line for line in said)
    assert not any(IPHONE[:8] in line for line in said)


@pytest.mark.parametrize(("stored", "is_found"), [("1 ", True), ("1\u200b", False), ("1\u3164", False)])
def test_an_account_of_theirs_is_spelled_as_everywhere(schema: sqlite3.Connection, stored: str, is_found: bool):
    """Their database may compare more loosely than we do, and answers with its own spelling."""
    schema.execute("UPDATE hg_user SET uid = ? WHERE uid = '1'", (stored,))
    assert bool(SqlDirectory().accounts(["1", stored]).get("1")) == is_found


def test_a_broken_list_is_taken_as_empty(schema: sqlite3.Connection):
    schema.execute("UPDATE hg_user SET muted = '[\"group:7' WHERE uid = '1'")
    assert SqlDirectory().accounts(["1"])["1"].muted == frozenset()


@pytest.mark.parametrize(
    "stored", [" 7 ,8, 9\u200b ,１０,, 11", '["7", 8.0, "9\u200b", "１０", "", 11, {"id": 12}]', "7\u00a0,8,11"]
)
def test_blocked_accounts_are_spelled_as_senders_are(
    schema: sqlite3.Connection, settings: Settings, stored: str, caplog: pytest.LogCaptureFixture
):
    schema.execute("ALTER TABLE hg_user ADD COLUMN blocked TEXT")
    schema.execute("UPDATE hg_user SET blocked = ? WHERE uid = '1'", (stored,))
    settings.DIRECTORY_ACCOUNTS_SQL = ACCOUNTS.replace(" FROM", ", blocked AS blocked_accounts FROM")
    sql_directory._SAID.clear()
    assert SqlDirectory().accounts(["1"])["1"].blocked == {"7", "8", "11"}
    assert ("U+200B" in caplog.text) == ("\u200b" in stored)


# --- tokens that the provider refuses ---------------------------------------------------------


@pytest.fixture
def send(
    schema: sqlite3.Connection, sandbox: Sandbox, redis_client: Redis, run_jobs: Callable[..., int]
) -> Callable[[], list[tuple[str, str, str]]]:
    """Account 1 has one phone whose token the sandbox calls dead; a push to it goes all the way."""
    secret = make_secret()
    key = make_app_key(endpoint_url=sandbox.url, secret=secret)
    sandbox.add_key(int(key.access_id), secret)
    schema.execute("DELETE FROM hg_phone WHERE os = 'iphone'")
    schema.execute("UPDATE hg_phone SET xg_token = ? WHERE xg_token = ?", (DEAD, ANDROID))

    def push_once() -> list[tuple[str, str, str]]:
        ids = submit([make_message("1", push_type=PushType.NEW_ORDER)]).record_ids
        run_jobs()
        # Somebody else's is accepted: so it is the token, and not the key.
        deliver([make_delivery(app_key_id=key.pk).pk])
        rows = DeliveryResult.objects.filter(record_id__in=ids)
        return list(rows.values_list("status", "reason", "token"))

    return push_once


@pytest.mark.django_db(transaction=True)
def test_a_refused_token_is_not_tried_again(send: Callable[[], list[tuple[str, str, str]]]):
    assert send() == [(Status.FAILED, Reason.BAD_TOKEN, DEAD)]
    assert send() == [(Status.SKIPPED, Reason.NO_DEVICE, "")]
    device = Device.objects.get()
    assert (device.token, device.account_id, device.is_active) == (DEAD, "1", False)
    assert (device.app, device.platform, device.deactivated_reason) == (App.HIGO, Platform.ANDROID, Reason.BAD_TOKEN)


@pytest.mark.django_db(transaction=True)
def test_an_operator_can_undo_it(send: Callable[[], list[tuple[str, str, str]]]):
    send()
    assert devices.reactivate(Device.objects.get(), by="operator")
    assert send() == [(Status.FAILED, Reason.BAD_TOKEN, DEAD)]
    assert Device.objects.filter(is_active=False).count() == 1


# --- the other database is not ours -----------------------------------------------------------


@pytest.mark.parametrize("statement", ["DELETE FROM hg_phone", "CREATE TABLE ours (id INT)"])
def test_nothing_can_be_written_to_it(schema: sqlite3.Connection, statement: str):
    SqlDirectory().accounts(["1"])
    before = list(schema.iterdump())
    with connections["directory"].cursor() as cursor, pytest.raises(OperationalError):
        cursor.execute(statement)
    assert list(schema.iterdump()) == before


def test_its_journal_is_left_as_it_is(schema: sqlite3.Connection):
    SqlDirectory().accounts(["1"])
    assert schema.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.django_db(transaction=True)
def test_its_outage_only_delays(schema: sqlite3.Connection, path: Path, redis_client: Redis, run_jobs: Any):
    make_app_key()
    away = path.with_suffix(".away")
    path.rename(away)
    ids = submit([make_message("1", push_type=PushType.NEW_ORDER)]).record_ids
    with pytest.raises(DirectoryError, match="DIRECTORY_ACCOUNTS_SQL with an error: "):
        distribute(ids)
    assert PushRecord.objects.get().status == RecordStatus.PENDING
    assert not path.exists()
    away.rename(path)
    empty(redis_client)
    sweep(now=timezone.now() + timedelta(minutes=1))
    run_jobs()
    assert PushRecord.objects.get().status == RecordStatus.DISTRIBUTED
    assert ANDROID in set(DeliveryResult.objects.values_list("token", flat=True))


def test_a_timeline_can_be_read_while_it_is_away(schema: sqlite3.Connection, path: Path, redis_client: Redis):
    submit([make_message("1", message_id="m1", push_type=PushType.NEW_ORDER)])
    present = [step.code for step in timeline("1", "m1").steps]
    connections["directory"].close()
    path.rename(path.with_suffix(".away"))
    absent = [step.code for step in timeline("1", "m1").steps]
    assert [code for code in present if code not in absent] == ["account_now"]


def test_a_connection_that_the_server_has_closed_is_opened_again(schema: sqlite3.Connection):
    SqlDirectory().accounts(["1"])
    connections["directory"].connection.close()
    assert set(SqlDirectory().accounts(["1"])) == {"1"}


def test_a_query_that_does_not_fit_the_schema_is_named_and_delays(schema: sqlite3.Connection, settings: Settings):
    settings.DIRECTORY_DEVICES_SQL = DEVICES.replace("hg_phone", "hg_fone")
    with pytest.raises(DirectoryError, match=r"DIRECTORY_DEVICES_SQL with an error: .*hg_fone"):
        SqlDirectory().devices(["1"], "higo")


# --- every device of the app ------------------------------------------------------------------


def launched(**fields: Any) -> Broadcast:
    broadcast = lifecycle.launch(make_broadcast(**fields).pk)
    while not Broadcast.objects.get(pk=broadcast.pk).is_expanded:
        expansion.expand(broadcast.pk)
    return broadcast


def tokens() -> set[str]:
    return set(DeliveryResult.objects.values_list("token", flat=True))


@pytest.fixture
def keys() -> None:
    make_app_key()
    make_app_key(platform=Platform.IOS)


def test_without_its_query_a_broadcast_to_all_is_refused(schema: sqlite3.Connection, redis_client: Redis):
    broadcast = make_broadcast()
    with pytest.raises(InvalidMessageError, match=r"audience_kind='app': .*DIRECTORY_ALL_DEVICES_SQL is not set"):
        lifecycle.launch(broadcast.pk)
    assert not PushRecord.objects.exists()


def test_a_broadcast_to_a_tag_is_refused_with_what_to_do_instead(
    schema: sqlite3.Connection, settings: Settings, redis_client: Redis
):
    settings.DIRECTORY_ALL_DEVICES_SQL = ALL_DEVICES
    broadcast = make_broadcast(audience_kind="tag", tag="vip")
    with pytest.raises(
        InvalidMessageError, match=r"knows no tags: “vip” would reach nobody\. Send to a list of accounts"
    ):
        lifecycle.launch(broadcast.pk)
    with pytest.raises(UnlistableError, match="knows no tags"):
        SqlDirectory().page("higo", "", after=0, limit=10, tag="vip")
    assert not PushRecord.objects.exists()


def test_a_broadcast_to_all_reads_page_by_page(
    schema: sqlite3.Connection, settings: Settings, redis_client: Redis, keys: None, monkeypatch: pytest.MonkeyPatch
):
    settings.DIRECTORY_ALL_DEVICES_SQL = ALL_DEVICES
    monkeypatch.setattr(audiences, "EXPAND_DEVICES", 3)
    schema.executemany("INSERT INTO hg_phone VALUES ('1', 'higo', 'iphone', ?)", [(f"{n:064x}",) for n in range(7)])
    broadcast = launched()
    assert broadcast.estimate == 10
    assert tokens() == {IPHONE, ANDROID, *(f"{n:064x}" for n in range(7))}


def test_a_broadcast_to_one_platform(schema: sqlite3.Connection, settings: Settings, redis_client: Redis, keys: None):
    settings.DIRECTORY_ALL_DEVICES_SQL = ALL_DEVICES
    assert launched(platform=Platform.IOS).estimate == 1
    assert tokens() == {IPHONE}


def test_refused_tokens_are_neither_counted_nor_pushed_to(
    schema: sqlite3.Connection, settings: Settings, redis_client: Redis, keys: None
):
    settings.DIRECTORY_ALL_DEVICES_SQL = ALL_DEVICES
    schema.execute("DELETE FROM hg_phone WHERE xg_token IS NULL")
    make_device(token=ANDROID, is_active=False)
    assert launched().estimate == 1
    assert tokens() == {IPHONE}


def test_a_list_of_accounts_is_estimated_from_the_other_database(schema: sqlite3.Connection, redis_client: Redis):
    broadcast = make_broadcast(audience_kind="accounts", accounts=["1", "2"])
    assert audiences.estimate(broadcast) == 2
    broadcast.platform = Platform.IOS
    assert audiences.estimate(broadcast) == 1


def test_a_broadcast_starts_while_the_other_database_is_away(
    schema: sqlite3.Connection, settings: Settings, path: Path, redis_client: Redis
):
    settings.DIRECTORY_ALL_DEVICES_SQL = ALL_DEVICES
    path.rename(path.with_suffix(".away"))
    broadcast = lifecycle.launch(make_broadcast().pk)
    assert (broadcast.status, broadcast.estimate) == ("sending", None)
    with pytest.raises(DirectoryError):
        expansion.expand(broadcast.pk)


def test_pages_that_do_not_move_on_are_refused(schema: sqlite3.Connection, settings: Settings):
    settings.DIRECTORY_ALL_DEVICES_SQL = ALL_DEVICES.replace("ORDER BY rowid", "ORDER BY rowid DESC")
    with pytest.raises(DirectoryError, match="row_id 2 comes after 4"):
        SqlDirectory().page("higo", "", after=0, limit=10)


def test_without_its_query_there_is_no_page_and_no_count(schema: sqlite3.Connection):
    with pytest.raises(UnlistableError):
        SqlDirectory().page("higo", "", after=0, limit=10)
    with pytest.raises(UnlistableError):
        SqlDirectory().count("higo", "")


# --- what the check says ----------------------------------------------------------------------


def test_the_check_is_content_with_what_works(schema: sqlite3.Connection, settings: Settings):
    settings.DIRECTORY_ALL_DEVICES_SQL = ALL_DEVICES
    assert check() == []


def test_the_check_names_what_is_missing(settings: Settings):
    settings.DIRECTORY_ACCOUNTS_SQL, settings.DIRECTORY_DEVICES_SQL = "SELECT 1", "SELECT {ids} {name}"
    settings.DIRECTORY_ALL_DEVICES_SQL = "SELECT {after}"
    problems = check()
    assert "DIRECTORY_DATABASE_URL is not set" in problems[0]
    assert "DIRECTORY_ACCOUNTS_SQL must contain {ids}" in problems[1]
    assert "DIRECTORY_DEVICES_SQL contains {name}" in problems[2]
    assert "DIRECTORY_ALL_DEVICES_SQL must contain {limit}" in problems[3]
