"""An update over a filled database: the rows of the release before, and the jobs that it left in Redis.

The rows are written through the models as that release's migrations describe them; the jobs are hashes as its RQ wrote
them. `FORMER` moves on with each release.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import StateApps
from django.db.models import Model
from django.utils import timezone
from redis import Redis

from pushes import lanes, vault
from pushes.models import AppKey, Broadcast, DeliveryResult, Export, MinuteCount, PushRecord
from pushes.names import BroadcastStatus, ExportStatus, Kind, RecordStatus, Status
from tests.make import make_secret, make_token
from tests.planted import put
from tests.sandbox_process import Sandbox
from tests.upgrade.rows import filled, with_tables

FORMER = [("pushes", "0018_take_backs"), ("chatscan", "0002_scanner_advice")]
#: Models that have another name today.
RENAMED = {"pushes.counter": "pushes.minutecount"}
#: Columns that were numbers and are text today; without a number, they are empty.
TEXTS = {"pushes.appkey": "access_id", "pushes.deliveryresult": "provider_code"}

OURS = [app for app, _name in FORMER]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def former() -> Iterator[StateApps]:
    """The models of the release before, on tables as it had them."""
    executor = MigrationExecutor(connection)
    executor.migrate(FORMER)
    executor.loader.build_graph()
    for now, formerly in ((new.split("."), old.split(".")) for old, new in RENAMED.items()):
        ContentType.objects.filter(app_label=now[0], model=now[1]).update(model=formerly[1])
    ContentType.objects.clear_cache()
    yield executor.loader.project_state(FORMER).apps
    left = MigrationExecutor(connection)
    if left.migration_plan(left.loader.graph.leaf_nodes()):  # the test has failed before its update
        update()


def update() -> None:
    call_command("migrate", verbosity=0)
    ContentType.objects.clear_cache()


# --- rows -----------------------------------------------------------------------------------------


def contents(model: type[Model], columns: list[str]) -> list[dict[str, Any]]:
    rows = model._default_manager.order_by("pk").values(*columns)
    return [{name: bytes(cell) if isinstance(cell, memoryview) else cell for name, cell in row.items()} for row in rows]


def test_every_column_of_every_row_is_there_after_an_update(former: StateApps) -> None:
    for model in with_tables(former, *OURS):
        if not model._default_manager.exists():
            filled(former, model._meta.label_lower)
    columns = {
        model._meta.label_lower: [field.attname for field in model._meta.concrete_fields]
        for model in with_tables(former, *OURS)
    }
    before = {label: contents(former.get_model(label), names) for label, names in columns.items()}
    role = Group.objects.create(name="night shift")
    role.permissions.add(*Permission.objects.filter(codename__in=["view_counter", "send_broadcast"]))
    assert [label for label, rows in before.items() if not rows] == []
    update()
    for label, name in TEXTS.items():
        for row in before[label]:
            row[name] = "" if row[name] is None else str(row[name])
    for label, rows in before.items():
        assert contents(apps.get_model(RENAMED.get(label, label)), columns[label]) == rows, label
    # A permission goes with a model that is called something else now.
    assert set(role.permissions.values_list("codename", flat=True)) == {"view_minutecount", "send_broadcast"}
    assert Permission.objects.filter(codename="view_minutecount").count() == 1


# --- jobs -----------------------------------------------------------------------------------------


def left_job(client: Redis, queue: str, path: str, argument: object, **fields: str) -> None:
    """A job that the release before has enqueued, as its RQ wrote it: empty fields included."""
    empty = "success_callback_name failure_callback_name stopped_callback_name started_at ended_at worker_name group_id"
    described = {"description": path, "failure_ttl": "86400", "last_heartbeat": ""}
    put(client, queue, [path, None, [argument], {}], **dict.fromkeys(empty.split(), ""), **described, **fields)


def test_jobs_that_were_left_in_redis_run_after_an_update(
    former: StateApps, redis_client: Redis, run_jobs: Callable[..., int], sandbox: Sandbox
) -> None:
    secret, now = make_secret(), timezone.now()
    waits = {"created_at": now, "occurred_at": now, "expires_at": now + timedelta(hours=1), "withdrawn_at": None}
    told = {"app": "higo", "platform": "android", "window_policy": "always", "push_type": 55, "data": {}}
    key = filled(
        former,
        "pushes.appkey",
        **{"app": "higo", "platform": "android", "environment": "production", "provider": "sandbox"},
        **{"access_id": 2_100_000_007, "endpoint_url": sandbox.url, "secret_encrypted": vault.encrypt(secret)},
        **{"paused_at": None, "paused_code": "", "rate_per_second": None, "is_enabled": True},
    )
    sandbox.add_key(int(key.access_id), secret)
    account = filled(former, "pushes.account", account_id="7")
    phone = {"app": "higo", "platform": "android", "environment": "production", "is_active": True, "account": account}
    device = filled(former, "pushes.device", token=make_token(), **phone)
    undistributed, sent = (
        filled(
            former,
            "pushes.pushrecord",
            **{"dedupe_key": f"{number:032x}", "kind": Kind.SYSTEM, "status": status, "accounts": ["7"], "shard": 0},
            **{"broadcast_id": None, "conversation": "", **waits, **told},
        )
        for number, status in enumerate((RecordStatus.PENDING, RecordStatus.DISTRIBUTED))
    )
    row = filled(
        former,
        "pushes.deliveryresult",
        **{"record_id": sent.pk, "account_id": "7", "device_id": device.pk, "token": device.token, "kind": Kind.SYSTEM},
        **{"app_key_id": key.pk, "status": Status.PENDING, "reason": "", "order_key": None, "burst": None, "shard": 0},
        **{"due_at": now, "claim": "", "lease_until": None, "attempts": 0, "sent_at": None, "finished_at": None},
        **{"environment": "production", "push_type": 55, "app": "higo", "platform": "android"},
        **{"created_at": now, "expires_at": now + timedelta(hours=1)},
    )
    broadcast = filled(
        former,
        "pushes.broadcast",
        **{"status": BroadcastStatus.SENDING, "audience_kind": "app", "tag": "", "accounts": [], "phase": ""},
        **{"started_at": now, "expires_at": None, "finished_at": None, "is_expanded": False, "cursor": 0},
        **{"listed_app": "", "objection": {}, "tolerated": {}, "watched_from": None, "canary_share": 0, **told},
    )
    filled(
        former,
        "pushes.pushrecord",
        **{"dedupe_key": "b" * 32, "kind": Kind.BROADCAST, "status": RecordStatus.DISTRIBUTED, "accounts": []},
        **{"broadcast_id": broadcast.pk, "conversation": "", "shard": 0, **waits, **told},
    )
    export = filled(
        former,
        "pushes.export",
        **{"query": "q=7&kind__exact=system&push_type__exact=55", "status": ExportStatus.WAITING, "newest_id": row.pk},
        **{"oldest_id": row.pk, "cursor": row.pk + 1, "rows": 0, "size": 0, "is_cut": False, "lease_until": None},
    )
    system, many = lanes.send_queue(lanes.SYSTEM), lanes.distribute_queue(lanes.BROADCAST)
    left_job(redis_client, system, "pushes.jobs.send", [row.pk], meta=f'{{"app_key_id": {key.pk}}}', result_ttl="60")
    distribute_queue = lanes.distribute_queue(lanes.SYSTEM)
    left_job(redis_client, distribute_queue, "pushes.jobs.distribute", [undistributed.pk], meta='{"app_key_id": null}')
    left_job(redis_client, many, "pushes.jobs.expand_broadcast", broadcast.pk)
    left_job(redis_client, lanes.EXPORT_QUEUE, "pushes.admin.export_job.write", export.pk)
    update()

    assert run_jobs() >= 4
    assert PushRecord.objects.get(pk=undistributed.pk).status == RecordStatus.DISTRIBUTED
    assert Broadcast.objects.get(pk=broadcast.pk).is_expanded
    rows = DeliveryResult.objects.values_list("record__broadcast_id", "token", "app_key_id", "status")
    accepted = (device.token, key.pk, Status.ACCEPTED)
    assert sorted(rows, key=str) == [(broadcast.pk, *accepted), (None, *accepted), (None, *accepted)]
    assert [entry["token"] for entry in sandbox.received()] == [device.token] * 3
    assert Export.objects.values_list("status", "rows").get(pk=export.pk) == (ExportStatus.DONE, 1)
    assert AppKey.objects.get(pk=key.pk).credentials().secret == secret


# --- the way back -----------------------------------------------------------------------------------


@pytest.mark.skipif(connection.vendor != "mysql", reason="SQLite has one node")
def test_what_several_nodes_have_counted_is_one_row_again_after_the_way_back() -> None:
    counts = {"granularity": "minute", "bucket_at": timezone.now(), "kind": "system", "event": "accepted"}
    for node, reason, count in ((1, "", 5), (2, "", 7), (2, "online", 1)):
        MinuteCount.objects.create(**counts, reason=reason, node=node, count=count)
    try:
        former = MigrationExecutor(connection).migrate([("pushes", "0025_presentation")]).apps
        kept = former.get_model("pushes", "MinuteCount").objects.order_by("reason").values_list("reason", "count")
        assert list(kept) == [("", 12), ("online", 1)]
    finally:
        update()
    assert MinuteCount.objects.filter(node=1).count() == 2
