"""The last release's code on a database that this release has migrated, as during a deployment: it knows nothing of new
columns and tables, and everything that it could do before it still can."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import phpserialize
import pytest
import redis
from django.conf import settings
from django.db import connection
from pymongo.database import Database

from pushes.models import Account, ApiToken, AppKey, DeliveryResult, Device, PushRecord
from pushes.names import Kind, RecordStatus, Status
from tests.make import make_secret
from tests.sandbox_process import Sandbox
from tests.upgrade.release import unpacked

pytestmark = pytest.mark.django_db(transaction=True)

RunOld = Callable[..., str]
RAW_LIST = "hg_message_queue"
ANDROID_KEY = 2_100_900_001
#: As in `old_code`.
NUMBER = 3


@pytest.fixture(scope="module")
def old_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("last_release"))


@pytest.fixture
def run_old(old_release: Path, mongo_db: Any, process_environment: dict[str, str], redis_client: redis.Redis) -> RunOld:
    """`run_old("fill")`: what the last release says to that. Raises AssertionError with its complaint."""

    def run(*words: str) -> str:
        script = Path(__file__).with_name("old_code.py")
        done = subprocess.run(
            [sys.executable, str(script), *words],
            cwd=old_release,
            env=process_environment | {"MONGO_URL": settings.MONGO_URL, "COALESCE_SECONDS": "0"},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
        return done.stdout

    return run


def test_it_writes_every_table(run_old: RunOld) -> None:
    assert int(run_old("fill").split()[0]) > 20


@pytest.fixture
def column_without_default() -> Iterator[None]:
    """What a migration must not add: the last release's INSERTs do not name it."""
    add = "ALTER TABLE pushes_account ADD COLUMN planted varchar(8) NOT NULL"
    with connection.cursor() as cursor:
        # SQLite adds none to a table without a default at all.
        cursor.execute(add if connection.vendor == "mysql" else f"{add} DEFAULT NULL")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE pushes_account DROP COLUMN planted")


def test_a_column_that_would_break_it_is_found(column_without_default: None, run_old: RunOld) -> None:
    with pytest.raises(AssertionError, match=r"planted"):
        run_old("fill")


def test_it_takes_in_sends_settles_and_shows(
    run_old: RunOld,
    mongo_db: Database[dict[str, Any]],
    redis_client: redis.Redis,
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    secret, token = make_secret(), "a" * 40
    sandbox.add_key(ANDROID_KEY, secret)
    keys, devices = tmp_path / "keys.ini", tmp_path / "devices.csv"
    keys.write_text(f"android_higo_appid = {ANDROID_KEY}\nandroid_higo_skey = {secret}")
    devices.write_text(f"account_id,app,platform,environment,token\n7,higo,android,production,{token}")
    mongo_db.private_chats.create_index([("createAt", 1), ("_id", 1)])
    for number in range(NUMBER):
        order = {"type": 55, "to_id": "7", "app": "higo", "message": f"php {number}", "msg_id": f"m{number}"}
        redis_client.rpush(RAW_LIST, phpserialize.dumps(order))
    run_old("work", sandbox.url, str(keys), str(devices))

    # What it wrote, as this release reads it.
    kinds = PushRecord.objects.values_list("kind", "status")
    assert sorted(kinds) == sorted(
        [(Kind.SYSTEM, RecordStatus.DISTRIBUTED)] * 2 * NUMBER + [(Kind.PRIVATE, RecordStatus.DISTRIBUTED)] * NUMBER
    )
    assert set(DeliveryResult.objects.values_list("status", "token")) == {(Status.ACCEPTED, token)}
    texts = {entry["content"] for entry in sandbox.received()}
    assert {f"{source} {n}" for source in ("php", "api") for n in range(NUMBER)} <= texts
    assert AppKey.objects.get().access_id == str(ANDROID_KEY)
    assert Account.objects.get(account_id="9").pk
    assert Device.objects.filter(account__account_id="9").exists()
    assert ApiToken.objects.filter(name="old").exists()
