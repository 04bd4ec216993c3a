"""A provider that is idempotent: a call whose answer was lost is made again, and pushes once."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from pushes.distribution.withdrawal import withdraw
from pushes.keys import gate
from pushes.ledger import claims, endings
from pushes.models import AppKey, DeliveryResult, PushRecord, PushTypePolicy, policies
from pushes.names import Channel, ProviderKind, PushType, Reason, Status
from pushes.providers.registry import provider
from pushes.sending import calls
from pushes.sending import job as job_module
from pushes.sending.job import deliver
from pushes.upkeep.sweep import sweep
from tests.chatscan.processes import PROJECT, wait_for
from tests.make import make_account, make_app_key, make_device
from tests.pushes.providers.jpush_server import APP_KEY, MASTER_SECRET, JPushServer, running_jpush
from tests.pushes.rows import make_delivery, make_record
from tests.together import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
KEPT, RESENT = PushType.DEFAULT, PushType.NEW_ORDER  # what their policies say of an unknown outcome
ACCEPTED = (Status.ACCEPTED, "")
LOST = (Status.RETRYING, Reason.NO_ANSWER)
IDS = iter(range(10**18, 2 * 10**18))


@pytest.fixture
def jpush(settings: Settings, own_connections: None) -> Iterator[JPushServer]:
    """Breakers stay closed: what is tested is what becomes of the rows."""
    settings.BREAKER_FAILURES = 10**6
    with running_jpush() as server:
        yield server


@pytest.fixture
def key(jpush: JPushServer) -> AppKey:
    return make_app_key(provider=ProviderKind.JPUSH, access_id=APP_KEY, secret=MASTER_SECRET, endpoint_url=jpush.url)


def due(key: AppKey, record: PushRecord | None = None, *, token: str = "", **fields: Any) -> DeliveryResult:
    device = make_device(make_account(), token=token or str(next(IDS)), channel=Channel.JPUSH)
    return make_delivery(record or make_record(push_type=KEPT), device, app_key_id=key.pk, **fields)


def listed(key: AppKey, number: int, **fields: Any) -> list[DeliveryResult]:
    """Deliveries of one message, which are sent as a list."""
    record = make_record(**{"push_type": KEPT} | fields)
    return [due(key, record) for _ in range(number)]


def send(*rows: DeliveryResult) -> list[tuple[str, str]]:
    """Deliver the rows in one job, due or not; their states and reasons after it."""
    DeliveryResult.objects.filter(pk__in=[row.pk for row in rows], status=Status.RETRYING).update(due_at=timezone.now())
    deliver([row.pk for row in rows])
    return states(*rows)


def states(*rows: DeliveryResult) -> list[tuple[str, str]]:
    for row in rows:
        row.refresh_from_db()
    return [(row.status, row.reason) for row in rows]


def arrived(jpush: JPushServer, *rows: DeliveryResult) -> list[int]:
    return [jpush.pushed.count(row.token) for row in rows]


def grows_old(*rows: DeliveryResult) -> None:
    """The rows' open calls were made longer ago than the provider remembers them."""
    jpush = provider(ProviderKind.JPUSH)
    then = int(timezone.now().timestamp()) - 86_400
    for row in rows:
        credentials = AppKey.objects.get(pk=row.app_key_id or 0).credentials()
        DeliveryResult.objects.filter(pk=row.pk).update(call_key=jpush.new_call_key(credentials, now=then))


# --- the same call again --------------------------------------------------------------------------


def test_a_call_has_a_key_that_its_row_has_too(jpush: JPushServer, key: AppKey):
    rows = [due(key), due(key)]
    assert send(*rows) == [ACCEPTED] * 2
    assert {row.call_key for row in rows} == set(jpush.cids)
    assert all(cid.startswith(f"{APP_KEY}-") for cid in jpush.cids)
    assert len(set(jpush.cids)) == 2


def test_the_key_is_written_before_the_call(jpush: JPushServer, key: AppKey, monkeypatch: pytest.MonkeyPatch):
    row, stored = due(key), []
    real = calls.requests_of

    def requests_of(*given: Any) -> Any:
        stored.append(DeliveryResult.objects.get(pk=row.pk).call_key)
        return real(*given)

    monkeypatch.setattr(job_module, "requests_of", requests_of)
    send(row)
    assert stored == jpush.cids


@pytest.mark.parametrize("push_type", [KEPT, RESENT])
@pytest.mark.parametrize("fault", ["lost", "dropped", 500, 502, 503, 504])
def test_a_lost_answer_is_asked_for_again_and_the_phone_rings_once(
    jpush: JPushServer, key: AppKey, fault: str | int, push_type: PushType
):
    """Whether or not the first call got through, and whatever the type's policy."""
    jpush.faults.append(fault)
    row = due(key, make_record(push_type=push_type))
    assert send(row)[0][0] == Status.RETRYING
    assert (row.may_have_arrived, row.call_key) == (False, jpush.cids[0])
    assert send(row) == [ACCEPTED]
    assert jpush.cids == [row.call_key] * 2
    assert (arrived(jpush, row), row.may_have_arrived, row.attempts) == ([1], False, 2)
    assert row.provider_push_id.isdigit()


@pytest.mark.parametrize("fault", ["lost", "dropped"])
def test_the_rows_of_a_list_are_asked_for_together(jpush: JPushServer, key: AppKey, fault: str):
    jpush.faults.append(fault)
    rows = listed(key, 20)
    assert set(send(*rows)) == {LOST}
    assert {row.call_key for row in rows} == set(jpush.cids)
    # They are due at the same moment, too.
    assert len({row.due_at for row in rows}) == 1
    assert set(send(*rows)) == {ACCEPTED}
    assert arrived(jpush, *rows) == [1] * 20
    assert len(jpush.calls) == 2


@pytest.mark.parametrize("fault", ["lost", "dropped"])
@pytest.mark.parametrize("waits", [Status.RETRYING, Status.PENDING])
def test_a_job_for_a_part_of_a_list_takes_all_of_it(jpush: JPushServer, key: AppKey, fault: str, waits: Status):
    """A second call under the key for the others would push to nobody, and be called accepted."""
    jpush.faults.append(fault)
    rows = listed(key, 6)
    send(*rows)
    DeliveryResult.objects.update(status=waits)
    send(rows[2])
    assert set(states(*rows)) == {ACCEPTED}
    assert arrived(jpush, *rows) == [1] * 6
    assert len(jpush.calls) == 2


@pytest.mark.parametrize("fault", ["lost", "dropped"])
def test_a_call_is_not_made_again_while_another_worker_has_a_part_of_it(jpush: JPushServer, key: AppKey, fault: str):
    jpush.faults.append(fault)
    rows = listed(key, 6)
    send(*rows)
    DeliveryResult.objects.update(due_at=timezone.now())
    other, _ = claims.claim([row.pk for row in rows[:2]], now=timezone.now(), lease_seconds=60)
    assert send(*rows[2:]) == [(Status.RETRYING, Reason.CUT_OFF)] * 4
    assert {row.call_key for row in rows[2:]} == {jpush.cids[0]}
    assert len(jpush.calls) == 1
    claims.give_back([row.pk for row in rows[:2]], other, now=timezone.now())
    assert set(send(*rows)) == {ACCEPTED}
    assert arrived(jpush, *rows) == [1] * 6


@pytest.mark.django_db(transaction=True)
def test_two_workers_with_parts_of_a_list_push_once(jpush: JPushServer, key: AppKey):
    jpush.faults.extend(["dropped"])
    rows = listed(key, 40)
    send(*rows)
    for _ in range(20):
        DeliveryResult.objects.filter(status=Status.RETRYING).update(due_at=timezone.now())
        together([partial(deliver, [row.pk for row in part]) for part in (rows[:20], rows[20:])])
        if set(states(*rows)) == {ACCEPTED}:
            break
    assert set(states(*rows)) == {ACCEPTED}
    assert arrived(jpush, *rows) == [1] * 40


@pytest.mark.parametrize("fault", ["lost", "dropped"])
def test_whoever_is_no_longer_wanted_is_left_out_of_the_call(jpush: JPushServer, key: AppKey, fault: str):
    jpush.faults.append(fault)
    rows = listed(key, 5)
    send(*rows)
    gone, late = rows[:2]
    DeliveryResult.objects.filter(pk=late.pk).update(expires_at=timezone.now())
    gone.refresh_from_db()
    type(make_account()).objects.filter(pk=gone.account_id).update(push_status=0)
    assert send(*rows[2:]) == [ACCEPTED] * 3
    assert states(gone) == [(Status.SKIPPED, Reason.DO_NOT_DISTURB)]
    # Nobody will ever know whether the first call reached it.
    assert gone.may_have_arrived
    assert arrived(jpush, *rows) == ([1] * 5 if fault == "lost" else [0, 0, 1, 1, 1])


def test_a_call_that_lost_a_row_at_the_last_moment_is_not_made(
    jpush: JPushServer, key: AppKey, monkeypatch: pytest.MonkeyPatch
):
    jpush.faults.append("dropped")
    rows = listed(key, 4)
    send(*rows)
    real = claims.begin

    def begin(*given: Any, **options: Any) -> set[int]:
        DeliveryResult.objects.filter(pk=rows[0].pk).update(claim="another")
        return real(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(claims, "begin", begin)
        assert send(*rows)[1:] == [(Status.RETRYING, Reason.CUT_OFF)] * 3
    assert len(jpush.calls) == 1
    assert {(row.call_key, row.attempts) for row in rows[1:]} == {(jpush.cids[0], 1)}
    DeliveryResult.objects.filter(pk=rows[0].pk).update(status=Status.RETRYING, claim="")
    assert set(send(*rows)) == {ACCEPTED}
    assert arrived(jpush, *rows) == [1] * 4


def test_the_same_call_is_made_again_until_it_is_answered(jpush: JPushServer, key: AppKey, settings: Settings):
    """Giving up after some attempts would leave in doubt what can be known."""
    settings.MAX_ATTEMPTS = 2
    jpush.faults.extend(["lost"] * 5)
    row = due(key)
    assert {send(row)[0] for _ in range(5)} == {LOST}
    assert send(row) == [ACCEPTED]
    assert (arrived(jpush, row), len(set(jpush.cids))) == ([1], 1)


@pytest.mark.parametrize("second", [429, 401, 503, "unreachable"])
def test_an_answer_that_says_nothing_of_the_first_call_leaves_it_open(
    jpush: JPushServer, key: AppKey, second: int | str
):
    """A call that was throttled was certainly not done; the one before it may have been."""
    jpush.faults.append("lost")
    row = due(key)
    send(row)
    if second == "unreachable":
        AppKey.objects.filter(pk=key.pk).update(endpoint_url="http://127.0.0.1:1")
    else:
        jpush.faults.append(second)
    send(row)
    assert (row.status, row.call_key, row.may_have_arrived) == (Status.RETRYING, jpush.cids[0], False)
    AppKey.objects.filter(pk=key.pk).update(endpoint_url=jpush.url, paused_at=None)
    gate.forget(key.pk)
    assert send(row) == [ACCEPTED]
    assert arrived(jpush, row) == [1]


# --- when it is not the same call -------------------------------------------------------------------


def test_what_was_certainly_not_sent_gets_a_new_key(jpush: JPushServer, key: AppKey):
    jpush.faults.append(429)
    row = due(key)
    assert send(row) == [(Status.RETRYING, Reason.THROTTLED)]
    assert row.call_key == ""
    gate.forget(key.pk)
    assert send(row) == [ACCEPTED]
    assert len(set(jpush.cids)) == 2


def test_what_never_left_gets_a_new_key(key: AppKey):
    AppKey.objects.filter(pk=key.pk).update(endpoint_url="http://127.0.0.1:1")
    row = due(key)
    assert send(row) == [(Status.RETRYING, Reason.UNREACHABLE)]
    assert row.call_key == ""


def test_of_a_refused_list_each_token_has_its_own_key(jpush: JPushServer, key: AppKey):
    record = make_record(push_type=KEPT)
    rows = [due(key, record, token=f"dead{number:015d}") for number in range(3)]
    alive = due(key)
    assert send(*rows, alive) == [(Status.FAILED, Reason.BAD_TOKEN)] * 3 + [ACCEPTED]
    assert len(set(jpush.cids)) == len(jpush.cids) == 5
    assert {row.call_key for row in rows} < set(jpush.cids)


def test_an_answer_that_was_lost_of_a_call_for_one_token_of_a_refused_list(jpush: JPushServer, key: AppKey):
    """The key of the list says nothing about it."""
    record = make_record(push_type=KEPT)
    rows = [due(key, record, token=f"dead{number:015d}") for number in range(3)]
    jpush.faults.extend(["", "dropped", "dropped", "dropped"])
    assert set(send(*rows)) == {LOST}
    assert len({row.call_key for row in rows}) == 3
    send(*rows)
    assert jpush.pushed == []


def test_rows_that_are_given_back_before_their_call_forget_its_key(
    jpush: JPushServer, key: AppKey, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise MemoryError

    jpush.faults.append("lost")
    open_row, row = due(key), due(key)
    send(open_row)
    with monkeypatch.context() as patch:
        patch.setattr(job_module, "requests_of", broken)
        with pytest.raises(MemoryError):
            send(open_row, row)
    states(open_row, row)
    assert (open_row.call_key, row.call_key) == (jpush.cids[0], "")
    assert send(open_row, row) == [ACCEPTED] * 2
    assert arrived(jpush, open_row, row) == [1, 1]


def test_a_call_that_the_provider_has_forgotten_ends_as_unknown_when_a_loss_is_better(jpush: JPushServer, key: AppKey):
    jpush.faults.append("lost")
    rows = listed(key, 3, expires_at=timezone.now() + timedelta(days=2))
    send(*rows)
    grows_old(*rows)
    assert set(send(*rows)) == {(Status.UNKNOWN, Reason.NO_ANSWER)}
    assert all(row.may_have_arrived and row.finished_at for row in rows)
    assert len(jpush.calls) == 1


def test_a_call_that_the_provider_has_forgotten_begins_anew_when_a_duplicate_is_better(jpush: JPushServer, key: AppKey):
    jpush.faults.append("lost")
    row = due(key, make_record(push_type=RESENT))
    send(row)
    grows_old(row)
    assert send(row) == [ACCEPTED]
    assert (row.may_have_arrived, len(set(jpush.cids)), arrived(jpush, row)) == (True, 2, [2])


def test_under_another_app_key_the_call_is_another_one(jpush: JPushServer, key: AppKey):
    jpush.faults.append("lost")
    row = due(key)
    send(row)
    DeliveryResult.objects.update(call_key=f"{'f' * 24}-{row.call_key.partition('-')[2]}")
    assert send(row) == [(Status.UNKNOWN, Reason.NO_ANSWER)]


@pytest.mark.parametrize("fault", ["lost", "dropped"])
def test_what_ends_while_its_call_is_open_may_have_arrived(jpush: JPushServer, key: AppKey, fault: str):
    jpush.faults.append(fault)
    row, fresh = due(key), due(key)
    send(row)
    withdraw(row.record_id, by="ann")
    rest = DeliveryResult.objects.filter(pk=fresh.pk)
    endings.end(rest, Status.CANCELLED, Reason.WITHDRAWN, now=timezone.now())
    assert states(row, fresh) == [(Status.CANCELLED, Reason.WITHDRAWN)] * 2
    assert (row.may_have_arrived, fresh.may_have_arrived) == (True, False)


def test_an_open_call_near_its_expiry_ends_as_unknown(jpush: JPushServer, key: AppKey):
    jpush.faults.append("lost")
    row = due(key, expires_at=timezone.now() + timedelta(seconds=0.8))
    assert send(row) == [(Status.UNKNOWN, Reason.NO_ANSWER)]
    assert row.may_have_arrived


# --- killed and broken --------------------------------------------------------------------------------

WORKER = "import django; django.setup(); from pushes.sending.job import deliver; deliver([{ids}])"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [1, 8])
def test_a_worker_that_is_killed_during_its_call_leaves_nothing_in_doubt(
    jpush: JPushServer, key: AppKey, process_environment: dict[str, str], number: int
):
    jpush.faults.append("held")
    rows = listed(key, number) if number > 1 else [due(key)]
    program = WORKER.format(ids=", ".join(str(row.pk) for row in rows))
    environment = {**process_environment, "DJANGO_SETTINGS_MODULE": "higo_push.settings"}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=PROJECT) as worker:
        wait_for(lambda: len(jpush.calls) == 1, "the worker's call")
        worker.kill()
    assert {status for status, _ in states(*rows)} == {Status.SENDING}
    DeliveryResult.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    swept = sweep()
    assert swept is not None
    assert (swept.leases_to_retry, swept.leases_to_unknown) == (number, 0)
    assert set(states(*rows)) == {(Status.RETRYING, Reason.CUT_OFF)}
    assert set(send(*rows)) == {ACCEPTED}
    assert len(set(jpush.cids)) == 1
    assert {(row.may_have_arrived, row.attempts) for row in rows} == {(False, 2)}
    assert arrived(jpush, *rows) == [1] * number


@pytest.mark.parametrize("seed", range(2))
def test_whatever_breaks_every_phone_rings_once_and_nothing_stays_unknown(
    jpush: JPushServer, key: AppKey, settings: Settings, seed: int
):
    """Type policy: better lost than doubled. Neither happens."""
    settings.MAX_ATTEMPTS, chance = 30, random.Random(seed)
    PushTypePolicy.objects.update(unknown_policy="keep")
    assert {rule.unknown_policy for rule in policies().values()} == {"keep"}
    rows = [due(key) for _ in range(8)] + [row for size in (3, 9) for row in listed(key, size)]
    breaks = ["", "", "lost", "dropped", 429, 500, 502, 503, 504]
    for _ in range(100):
        waiting = [row for row in rows if row.status not in (Status.ACCEPTED,)]
        if not waiting:
            break
        jpush.faults.clear()
        jpush.faults.extend(chance.choices(breaks, k=50))
        gate.forget(key.pk)
        part = chance.sample(waiting, chance.randint(1, len(waiting)))
        send(*part)
        states(*rows)
    assert Counter(states(*rows)) == {ACCEPTED: len(rows)}
    assert Counter(jpush.pushed) == {row.token: 1 for row in rows}
    assert not any(row.may_have_arrived for row in rows)
