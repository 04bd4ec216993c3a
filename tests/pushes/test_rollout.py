"""From the canary to the rest, with real expansion, sweeps and (where it matters) a real provider."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from pushes import audiences, broadcasts, canary, queues, tags
from pushes.broadcasts import (
    BroadcastStateError,
    cancel,
    expand,
    finish_done,
    launch,
    pause,
    progress,
    put_back,
    resume,
)
from pushes.models import Broadcast, DeliveryResult, Device
from pushes.names import BroadcastPhase, BroadcastStatus, Platform, Reason, Status
from pushes.rollout import go_on, judge_canaries
from pushes.sweep import sweep
from tests.make import make_account, make_app_key, make_broadcast, make_device, make_operator, make_secret, make_token
from tests.redis_database import empty
from tests.sandbox_process import Sandbox
from tests.together import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
NUMBER = 40


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiences, "EXPAND_DEVICES", 7)
    monkeypatch.setattr(audiences, "EXPAND_ACCOUNTS", 7)


@pytest.fixture
def key() -> Any:
    return make_app_key()


def phones(number: int = NUMBER, **fields: Any) -> list[Device]:
    return [make_device(**fields) for _ in range(number)]


def launched(**fields: Any) -> Broadcast:
    """A broadcast to everybody whose canary, about half of them, has all its rows."""
    broadcast = launch(make_broadcast(**{"canary_percent": 50} | fields).pk)
    expand_all(broadcast)
    return broadcast


def expand_all(broadcast: Broadcast) -> None:
    for _ in range(100):
        if not expand(broadcast.pk) and not is_expanding(broadcast):
            return
    raise AssertionError("it is still expanding")


def is_expanding(broadcast: Broadcast) -> bool:
    broadcast.refresh_from_db()
    return broadcast.status == BroadcastStatus.SENDING and not (
        broadcast.is_expanded or (broadcast.phase == BroadcastPhase.CANARY and broadcast.canary_listed_at)
    )


def state(broadcast: Broadcast) -> tuple[str, str]:
    broadcast.refresh_from_db()
    return broadcast.status, broadcast.phase


def tokens() -> list[str]:
    return sorted(DeliveryResult.objects.values_list("token", flat=True))


def settle(status: Status = Status.ACCEPTED, reason: str = "", *, number: int | None = None) -> None:
    ids = list(DeliveryResult.objects.filter(status=Status.PENDING).values_list("id", flat=True)[:number])
    DeliveryResult.objects.filter(id__in=ids).update(status=status, reason=reason, finished_at=timezone.now())


AUDIENCES: dict[str, Callable[[list[Device]], dict[str, Any]]] = {
    "app": lambda _devices: {},
    "platform": lambda _devices: {"platform": Platform.ANDROID},
    "tag": lambda _devices: {"audience_kind": "tag", "tag": "vip"},
    "accounts": lambda devices: {"audience_kind": "accounts", "accounts": [d.account_id for d in devices]},
}


@pytest.mark.parametrize("kind", AUDIENCES)
def test_a_part_goes_first_and_the_rest_when_it_has_arrived(key: Any, kind: str):
    devices = phones()
    tags.replace({device.pk: ["vip"] for device in devices})
    phones(5, platform=Platform.IOS) if kind != "app" else None
    broadcast = launched(**AUDIENCES[kind](devices))
    first = tokens()
    assert 8 <= len(first) <= 32
    assert state(broadcast) == ("sending", "canary")
    assert judge_canaries() == 0
    settle()
    assert judge_canaries() == 1
    assert judge_canaries() == 0
    expand_all(broadcast)
    assert tokens() == sorted(device.token for device in devices)
    settle()
    assert finish_done() == 1
    assert progress(broadcast.pk).counts == {"accepted": NUMBER}


def test_without_a_canary_it_goes_to_everybody_at_once(key: Any):
    phones()
    broadcast = launched(canary_percent=0)
    assert state(broadcast) == ("sending", "")
    assert len(tokens()) == NUMBER


def test_while_the_outcomes_are_waited_for_nothing_is_expanded_or_finished(
    key: Any, redis_client: Redis, settings: Any
):
    settings.STUCK_SECONDS = 0.0
    phones()
    broadcast = launched()
    settle(number=3)
    assert expand(broadcast.pk) == 0
    assert finish_done() == 0
    put_back()
    assert queues.depths([broadcasts.EXPANSIONS]) == {broadcasts.EXPANSIONS: 0}


def test_a_canary_of_nobody_holds_up_nothing(key: Any):
    [device] = phones(1)
    broadcast = launched()
    settle()
    judge_canaries()
    expand_all(broadcast)
    assert state(broadcast) == ("sending", "rest")
    assert tokens() == [device.token]


@pytest.mark.parametrize(
    ("status", "reason", "why"),
    [
        (Status.FAILED, Reason.TOO_MANY_ATTEMPTS, "answered devices failed: "),
        (Status.UNKNOWN, Reason.NO_ANSWER, "answered devices failed: "),
        (Status.FAILED, Reason.BAD_TOKEN, "have invalid tokens: "),
    ],
)
def test_it_halts_by_itself_and_says_why(key: Any, status: Status, reason: str, why: str):
    phones()
    broadcast = launched()
    settle(status, reason, number=6)
    settle()
    assert judge_canaries() == 1
    assert state(broadcast) == ("paused", "halted")
    assert broadcast.status_reason.startswith("halted: 6 of the canary's")
    assert why in broadcast.status_reason
    assert canary.Objection(**broadcast.objection).number == 6
    assert expand(broadcast.pk) == 0
    assert judge_canaries() == 0


def test_it_halts_before_the_canary_is_all_listed(key: Any):
    phones(120)
    broadcast = launch(make_broadcast(canary_percent=50).pk)
    while DeliveryResult.objects.count() < 20:
        expand(broadcast.pk)
    settle(Status.FAILED, Reason.BAD_TOKEN)
    made = DeliveryResult.objects.count()
    assert judge_canaries() == 1
    assert state(broadcast) == ("paused", "halted")
    assert (made < 60, broadcast.canary_listed_at) == (True, None)


def test_what_has_not_left_when_it_halts_waits(key: Any):
    phones(80)
    launched()
    settle(Status.FAILED, Reason.BAD_PAYLOAD, number=20)
    waiting = DeliveryResult.objects.filter(status=Status.PENDING).count()
    judge_canaries()
    held = DeliveryResult.objects.filter(status=Status.HELD, reason=Reason.BROADCAST_PAUSED)
    assert held.count() == waiting > 0


def halted(number: int = NUMBER) -> Broadcast:
    phones(number)
    broadcast = launched()
    settle(Status.FAILED, Reason.BAD_TOKEN, number=8)
    settle()
    judge_canaries()
    assert state(broadcast) == ("paused", "halted")
    return broadcast


def test_a_halted_one_goes_on_in_spite_of_it_and_reaches_everybody_once(key: Any):
    broadcast, user = halted(), make_operator()
    assert go_on(broadcast.pk, by=user).status_reason == f"resumed by {user}"
    assert state(broadcast) == ("sending", "rest")
    expand_all(broadcast)
    assert len(tokens()) == len(set(tokens())) == NUMBER
    assert judge_canaries() == 0


def test_one_halted_half_way_through_its_canary_still_reaches_everybody_once(key: Any):
    devices = phones(120)
    broadcast = launch(make_broadcast(canary_percent=50).pk)
    while DeliveryResult.objects.count() < 20:
        expand(broadcast.pk)
    settle(Status.FAILED, Reason.BAD_TOKEN)
    judge_canaries()
    go_on(broadcast.pk)
    expand_all(broadcast)
    assert tokens() == sorted(device.token for device in devices)


def test_a_halted_one_cannot_simply_be_resumed(key: Any):
    broadcast = halted()
    with pytest.raises(BroadcastStateError, match="has halted by itself"):
        resume(broadcast.pk)
    assert state(broadcast) == ("paused", "halted")


def test_a_halted_one_can_be_cancelled(key: Any):
    broadcast = halted()
    cancel(broadcast.pk)
    assert state(broadcast) == ("cancelled", "halted")
    with pytest.raises(BroadcastStateError):
        go_on(broadcast.pk)


@pytest.mark.parametrize("step", [None, pause])
def test_only_a_halted_one_goes_on_in_spite_of_something(key: Any, step: Any):
    broadcast = launched()
    if step:
        step(broadcast.pk)
    with pytest.raises(BroadcastStateError, match="is not halted by its canary"):
        go_on(broadcast.pk)


def test_a_pause_in_the_middle_of_the_canary_ends_as_it_began(key: Any):
    phones()
    broadcast = launched()
    pause(broadcast.pk)
    settle()
    assert judge_canaries() == 0
    resume(broadcast.pk)
    assert state(broadcast) == ("sending", "canary")
    DeliveryResult.objects.update(status=Status.ACCEPTED)
    assert judge_canaries() == 1
    assert state(broadcast) == ("sending", "rest")


def test_no_answer_is_waited_for_only_so_long(key: Any, settings: Settings):
    settings.BROADCAST_CANARY_WAIT_SECONDS = 60.0
    phones()
    broadcast = launched()
    assert judge_canaries(timezone.now() + timedelta(seconds=59)) == 0
    assert judge_canaries(timezone.now() + timedelta(seconds=61)) == 1
    assert state(broadcast) == ("paused", "halted")
    assert "has an outcome" in broadcast.status_reason


def test_a_few_stragglers_do_not_hold_up_the_rest_for_ever(key: Any):
    phones()
    broadcast = launched()
    settle(number=8)
    assert judge_canaries() == 0
    assert judge_canaries(timezone.now() + timedelta(hours=1)) == 1
    assert state(broadcast) == ("sending", "rest")


def test_one_held_for_its_window_is_not_judged_before_it_opens(key: Any, settings: Settings):
    opens = (timezone.localtime() + timedelta(hours=2)).replace(second=0, microsecond=0)
    settings.DELIVERY_WINDOW = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"
    phones()
    broadcast = launched()
    assert judge_canaries(timezone.now() + timedelta(hours=1)) == 0
    assert state(broadcast) == ("sending", "canary")


def test_somebody_who_registers_while_the_canary_is_judged_is_not_lost(key: Any):
    devices = phones()
    broadcast = launched()
    settle()
    devices += phones(10)
    judge_canaries()
    expand_all(broadcast)
    assert tokens() == sorted(device.token for device in devices)


def test_accounts_with_several_phones_get_it_on_each_once(key: Any):
    accounts = [make_account() for _ in range(20)]
    devices = [make_device(account) for account in accounts for _ in range(2)]
    names = [account.pk for account in accounts]
    broadcast = launched(audience_kind="accounts", accounts=names)
    settle()
    judge_canaries()
    expand_all(broadcast)
    assert tokens() == sorted(device.token for device in devices)


def test_those_who_are_refused_are_refused_once(key: Any):
    accounts = [make_account(login_status=0) for _ in range(20)]
    [make_device(account) for account in accounts for _ in range(2)]
    broadcast = launched()
    judge_canaries()
    expand_all(broadcast)
    assert state(broadcast) == ("sending", "rest")
    assert sorted(DeliveryResult.objects.values_list("account_id", flat=True)) == sorted(a.pk for a in accounts)


@pytest.mark.django_db(transaction=True)
def test_sweepers_that_judge_at_the_same_time_move_it_once(key: Any):
    phones()
    broadcast = launched()
    settle()
    assert sorted(together([judge_canaries] * 3)) == [0, 0, 1]
    expand_all(broadcast)
    assert len(tokens()) == len(set(tokens())) == NUMBER


@pytest.mark.django_db(transaction=True)
def test_a_judge_that_was_killed_before_it_could_enqueue_loses_nobody(
    key: Any, redis_client: Redis, run_jobs: Callable[..., int], settings: Settings
):
    settings.STUCK_SECONDS = 0.0
    phones()
    broadcast = launched()
    settle()
    judge_canaries()
    empty(redis_client)  # as if it had died between its commit and its enqueue
    assert sweep() is not None
    run_jobs(allow_failed=True)
    expand_all(broadcast)
    assert len(tokens()) == len(set(tokens())) == NUMBER


def real_key(sandbox: Sandbox) -> None:
    secret = make_secret()
    key = make_app_key(endpoint_url=sandbox.url, secret=secret)
    sandbox.add_key(key.access_id, secret)


def rounds(run_jobs: Callable[..., int], number: int = 4) -> None:
    for _ in range(number):
        run_jobs()
        assert sweep() is not None


@pytest.mark.django_db(transaction=True)
def test_through_the_real_provider_everybody_gets_it_once(sandbox: Sandbox, run_jobs: Callable[..., int]):
    real_key(sandbox)
    devices = phones(60)
    broadcast = launch(make_broadcast(canary_percent=10).pk)
    run_jobs()
    assert 0 < len(sandbox.received()) < 60
    assert {push["path"] for push in sandbox.received()} == {"/v2/push/single_device"}
    rounds(run_jobs)
    assert state(broadcast) == ("finished", "rest")
    assert "/v2/push/device_list_multiple" in {push["path"] for push in sandbox.received()}
    assert sorted(push["token"] for push in sandbox.received()) == sorted(device.token for device in devices)


@pytest.mark.django_db(transaction=True)
def test_dead_tokens_at_the_real_provider_halt_it(sandbox: Sandbox, run_jobs: Callable[..., int]):
    real_key(sandbox)
    phones(30)
    [make_device(token=f"dead0000{make_token()[8:]}") for _ in range(30)]
    broadcast = launch(make_broadcast(canary_percent=10).pk)
    rounds(run_jobs)
    assert state(broadcast) == ("paused", "halted")
    assert "invalid tokens" in broadcast.status_reason
    assert DeliveryResult.objects.count() < 60


@pytest.mark.django_db(transaction=True)
def test_a_provider_that_cuts_every_call_halts_it(sandbox: Sandbox, run_jobs: Callable[..., int]):
    real_key(sandbox)
    phones(60)
    sandbox.set_profile("cut_after")
    broadcast = launch(make_broadcast(canary_percent=10, push_type=55).pk)
    rounds(run_jobs)
    assert state(broadcast)[1] in ("canary", "halted")
    rounds(run_jobs, 2)
    judge_canaries(timezone.now() + timedelta(hours=1))
    assert state(broadcast) == ("paused", "halted")
    assert DeliveryResult.objects.count() < 60
