"""A process that lives and cannot work gives up what it holds, and says so."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from redis import Redis
from rq import Queue

from pushes.console.overview import alerts
from pushes.history import vitals
from pushes.inbound.intake import Intake
from pushes.inbound.raw_list import RawList
from pushes.workers import pulse
from pushes.workers.pulse import DATABASE, STANDSTILL, Pulse
from pushes.workers.shards import ShardLeases
from pushes.workers.worker import ShardWorker
from tests.pushes.inbound.test_intake import raw

SHARD_LEASE_SECONDS, LEASE_SECONDS = 60, 90
#: Half of the shards' lease.
SILENT_SECONDS = 30


class Way:
    """To the database: there, or cut off."""

    def __init__(self) -> None:
        self.is_open = True

    def __call__(self) -> None:
        if not self.is_open:
            raise OperationalError(2013, "Lost connection to server during query")


@pytest.fixture
def way() -> Way:
    return Way()


@pytest.fixture(autouse=True)
def only_threads_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ran in this process for an earlier test has not reported since."""
    monkeypatch.setattr(pulse, "_threads", {})


class Watch:
    """Stands still until a test lets time pass: a busy machine is never taken for a silent database."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def after(self, seconds: float, made: Pulse) -> Pulse:
        """Let time pass, and `made` look again."""
        self.now += seconds
        made._look()
        return made


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    found = Watch()
    monkeypatch.setattr(pulse, "time", found)
    return found


@pytest.fixture
def own(redis_client: Redis, settings: Settings, way: Way, watch: Watch) -> Iterator[Pulse]:
    """A pulse that looks when a test says so."""
    settings.SHARD_LEASE_SECONDS, settings.LEASE_SECONDS = SHARD_LEASE_SECONDS, LEASE_SECONDS
    yield watch.after(0, Pulse("workers-group", way))
    pulse.rested()


def test_a_pulse_looks_by_itself(redis_client: Redis, settings: Settings, way: Way, monkeypatch: pytest.MonkeyPatch):
    settings.SHARD_LEASE_SECONDS = 0.3
    monkeypatch.setattr(pulse, "MIN_SILENT_SECONDS", 0.0)
    with_thread = Pulse("workers-group", way)
    with_thread.start()
    try:
        way.is_open = False
        deadline = time.monotonic() + 20
        while with_thread.is_well or not pulse.complaints():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        with_thread.stop()


def test_a_process_whose_database_answers_is_well(own: Pulse, watch: Watch):
    watch.after(2 * SILENT_SECONDS, own)
    assert (own.is_well, pulse.complaints()) == (True, [])


def test_one_that_has_never_had_an_answer_is_not(redis_client: Redis, way: Way, watch: Watch):
    way.is_open = False
    assert not watch.after(0, Pulse("intake", way)).is_well


def test_a_silent_database_is_told_and_its_return_too(own: Pulse, way: Way, watch: Watch):
    way.is_open = False
    watch.after(SILENT_SECONDS, own)
    assert (own.is_well, pulse.complaints()) == (True, [])
    watch.after(1, own)
    [said] = pulse.complaints()
    assert (said.process, said.what, said.seconds) == ("workers-group", DATABASE, SILENT_SECONDS + 1)
    way.is_open = True
    watch.after(1, own)
    assert (own.is_well, pulse.complaints()) == (True, [])


def test_a_thread_that_stands_still_is_told(own: Pulse, watch: Watch):
    pulse.moved()
    watch.after(LEASE_SECONDS, own)
    assert own.is_well
    watch.after(1, own)
    assert [(said.what, said.seconds) for said in pulse.complaints()] == [(STANDSTILL, LEASE_SECONDS + 1)]
    pulse.moved()
    assert own.is_well
    pulse.rested()
    assert watch.after(2 * LEASE_SECONDS, own).is_well


def test_a_short_claim_is_no_reason_to_miss_a_loop_that_may_rest(own: Pulse, watch: Watch, settings: Settings):
    settings.LEASE_SECONDS = 1
    pulse.moved()
    assert watch.after(pulse.MIN_STILL_SECONDS, own).is_well
    assert not watch.after(1, own).is_well


def test_a_thread_that_has_ended_its_work_is_not_missed(own: Pulse, watch: Watch):
    def work() -> None:
        pulse.moved()
        pulse.rested()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert watch.after(2 * LEASE_SECONDS, own).is_well


def test_shards_of_a_process_without_a_database_go_to_another(own: Pulse, way: Way, watch: Watch, redis_client: Redis):
    one, other = ShardLeases(redis_client, ["a", "b"], own), ShardLeases(redis_client, ["a", "b"])
    one.holder, other.holder = "one", "other"
    one.renew()
    other.renew()
    assert (one.owned, other.owned, one.may_work) == ({"a", "b"}, set(), True)
    way.is_open = False
    watch.after(SILENT_SECONDS + 1, own)
    one.renew()
    other.renew()
    assert (one.owned, other.owned, one.may_work) == (set(), {"a", "b"}, False)
    way.is_open = True
    watch.after(1, own)
    one.renew()
    assert (one.owned, own.is_well) == (set(), True)


def test_a_worker_of_a_lane_without_shards_takes_no_job_either(own: Pulse, way: Way, watch: Watch, redis_client: Redis):
    worker = ShardWorker([Queue("q", connection=redis_client, serializer="json")], connection=redis_client)
    worker.leases = ShardLeases(redis_client, [], own)
    assert [one.name for one in worker._ordered_queues] == ["q"]
    way.is_open = False
    watch.after(SILENT_SECONDS + 1, own)
    assert worker._ordered_queues == []


def test_what_a_dead_process_has_said_is_forgotten(own: Pulse, way: Way, watch: Watch, redis_client: Redis):
    way.is_open = False
    watch.after(SILENT_SECONDS + 1, own)
    names: Any = redis_client.smembers(pulse.NAMES_KEY)
    [name] = names
    redis_client.delete(pulse.TEXT_KEY.format(name=name.decode()))
    assert pulse.complaints() == []
    assert not redis_client.exists(pulse.NAMES_KEY)


@pytest.mark.django_db
def test_the_overview_and_the_metrics_tell_of_it(own: Pulse, way: Way, watch: Watch):
    way.is_open = False
    watch.after(SILENT_SECONDS + 1, own)
    view = vitals.redis_view()
    found = alerts._processes(view, vitals.Waiting(None, None), timezone.now())
    [alert] = [alert for alert in found if alert.name.startswith("unwell")]
    assert alert.is_urgent
    assert "workers-group" in alert.text
    assert "has not reached the database" in alert.text
    text = Client().get("/metrics", HTTP_HOST="127.0.0.1").content.decode()
    assert 'higo_process_unwell_seconds{host="' in text
    assert 'process="workers-group",what="database"' in text


@pytest.mark.django_db(transaction=True)
def test_an_intake_that_cannot_store_lets_another_have_its_batch(redis_client: Redis, monkeypatch: pytest.MonkeyPatch):
    """Its heart goes on beating in a thread of its own: for a while, not for good."""
    one = RawList(redis_client, heartbeat_seconds=2)
    stuck = Intake(one, batch_size=10, beat_seconds=0.2, recovery_seconds=30)
    is_cut_off = threading.Event()
    real = stuck._process

    def process(batch: object) -> None:
        if threading.current_thread().name == "stuck":
            stuck._batch = batch  # type: ignore[assignment]
            is_cut_off.set()
            raise OperationalError(2013, "Lost connection")
        real(batch)  # type: ignore[arg-type]

    monkeypatch.setattr(stuck, "_process", process)
    redis_client.rpush(one._name, raw())
    thread = threading.Thread(target=stuck.run, name="stuck")
    thread.start()
    try:
        assert is_cut_off.wait(20)
        other = RawList(redis_client, heartbeat_seconds=5)
        assert other.orphans() == []
        deadline = time.monotonic() + 20
        found = []
        while not (found := other.orphans()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(found[0].raws) == 1
    finally:
        stuck.stop()
        thread.join()


def test_a_process_that_loses_the_database_takes_no_job_until_it_answers(own: Pulse, way: Way, watch: Watch):
    way.is_open = False
    pulse.lost_database()
    assert not own.takes_jobs
    assert not watch.after(1, own).takes_jobs
    way.is_open = True
    assert watch.after(1, own).takes_jobs


def test_a_database_that_is_lost_is_asked_at_once(redis_client: Redis, way: Way):
    with_thread = Pulse("workers-group", way)
    with_thread.start()
    try:
        pulse.lost_database()
        deadline = time.monotonic() + 20
        while not with_thread.takes_jobs:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        with_thread.stop()
