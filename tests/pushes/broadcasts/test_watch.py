"""From the canary to the rest, with real expansion, sweeps and (where it matters) a real provider."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from pushes.broadcasts import audiences, canary, lifecycle
from pushes.broadcasts.expansion import expand
from pushes.broadcasts.lifecycle import cancel, finish_done, launch, pause, put_back, resume
from pushes.broadcasts.progress import progress
from pushes.broadcasts.rows import BroadcastStateError
from pushes.broadcasts.watch import go_on, judge_canaries, watch
from pushes.ledger import tallies
from pushes.models import AppKey, Broadcast, DeliveryResult, Device, PushRecord
from pushes.models.broadcasts import BOTH_APPS
from pushes.names import App, BroadcastPhase, BroadcastStatus, Platform, Reason, Status
from pushes.people import tags
from pushes.text import notes
from pushes.upkeep.sweep import sweep
from pushes.workers import queues
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
    rows = DeliveryResult.objects.filter(id__in=ids)
    rows.update(status=status, reason=reason, finished_at=timezone.now())
    ends = Counter((record_id, str(status), reason) for record_id in rows.values_list("record_id", flat=True))
    tallies.add(ends, timezone.now())


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
    assert queues.depths([lifecycle.EXPANSIONS]) == {lifecycle.EXPANSIONS: 0}


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
        (Status.FAILED, Reason.TOO_MANY_ATTEMPTS, "canary results are failures: "),
        (Status.UNKNOWN, Reason.NO_ANSWER, "canary results are failures: "),
        (Status.FAILED, Reason.BAD_TOKEN, "canary tokens are invalid: "),
    ],
)
def test_it_halts_by_itself_and_says_why(key: Any, status: Status, reason: str, why: str):
    phones()
    broadcast = launched()
    settle(status, reason, number=6)
    settle()
    assert judge_canaries() == 1
    assert state(broadcast) == ("paused", "halted")
    assert notes.english(broadcast.status_reason).startswith("6 of ")
    assert why in notes.english(broadcast.status_reason)
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
    assert notes.english(go_on(broadcast.pk, by=user).status_reason) == f"resumed by {user}"
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
    with pytest.raises(BroadcastStateError, match="has not halted"):
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
    assert "has returned a result" in notes.english(broadcast.status_reason)


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
    every_device = Device.objects.values_list("token", flat=True)
    assert sorted(DeliveryResult.objects.values_list("token", flat=True)) == sorted(every_device)


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
    sandbox.add_key(int(key.access_id), secret)


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
    assert "canary tokens are invalid" in notes.english(broadcast.status_reason)
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


# --- both apps ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["app", "tag", "accounts"])
def test_one_broadcast_reaches_both_apps_each_device_once_and_with_its_own_key(key: Any, kind: str):
    other_key = make_app_key(App.HIGIRL)
    buyers, sellers = phones(), phones(30, app=App.HIGIRL)
    tags.replace({device.pk: ["vip"] for device in buyers + sellers})
    broadcast = launched(app=BOTH_APPS, **AUDIENCES[kind](buyers + sellers))
    assert set(PushRecord.objects.values_list("app", flat=True)) == set(App)
    assert {row.app for row in DeliveryResult.objects.all()} == set(App)  # the canary is a part of both
    assert len(tokens()) < len(buyers + sellers)
    settle()
    assert judge_canaries() == 1
    expand_all(broadcast)
    assert tokens() == sorted(device.token for device in buyers + sellers)
    keys = dict(DeliveryResult.objects.values_list("token", "app_key_id"))
    assert {keys[device.token] for device in sellers} == {other_key.pk}
    assert {keys[device.token] for device in buyers} == {AppKey.objects.exclude(pk=other_key.pk).get().pk}
    settle()
    assert finish_done() == 1
    assert (progress(broadcast.pk).counts, progress(broadcast.pk).total) == ({"accepted": 70}, 70)
    assert broadcast.estimate == 70


def test_an_account_of_a_list_is_missed_once_and_only_when_it_has_no_device_in_either_app(key: Any):
    make_app_key(App.HIGIRL)
    here, there, nowhere = make_account("here"), make_account("there"), make_account("nowhere")
    make_device(here), make_device(there, App.HIGIRL)
    names = [here.pk, there.pk, nowhere.pk, "unknown"]
    launched(app=BOTH_APPS, audience_kind="accounts", accounts=names, canary_percent=0)
    rows = DeliveryResult.objects.order_by("id").values_list("account_id", "app", "status", "reason")
    assert sorted(rows) == [
        ("here", "higo", "pending", ""),
        ("nowhere", "higo", "skipped", "no_device"),
        ("there", "higirl", "pending", ""),
        ("unknown", "higo", "skipped", "no_account"),
    ]


@pytest.mark.django_db(transaction=True)
def test_both_apps_are_listed_by_one_chain_of_jobs_and_sent_through_the_real_provider(
    sandbox: Sandbox, run_jobs: Callable[..., int]
):
    for app in App:
        secret = make_secret()
        made = make_app_key(app, endpoint_url=sandbox.url, secret=secret)
        sandbox.add_key(int(made.access_id), secret)
    devices = [*phones(20), *phones(20, app=App.HIGIRL)]
    broadcast = launch(make_broadcast(app=BOTH_APPS).pk)
    rounds(run_jobs)
    assert state(broadcast) == ("finished", "")
    assert sorted(push["token"] for push in sandbox.received()) == sorted(device.token for device in devices)
    assert progress(broadcast.pk).counts == {"accepted": 40}


# --- halting on the way to everybody --------------------------------------------------------------


def on_its_way(number: int = 200, **fields: Any) -> Broadcast:
    phones(number)
    return launched(canary_percent=0, **fields)


@pytest.mark.parametrize(
    ("status", "reason", "why"),
    [
        (Status.FAILED, Reason.BAD_PAYLOAD, "errors"),
        (Status.UNKNOWN, Reason.NO_ANSWER, "errors"),
        (Status.FAILED, Reason.TOO_MANY_ATTEMPTS, "errors"),
        (Status.FAILED, Reason.BAD_TOKEN, "bad_tokens"),
    ],
)
def test_a_spike_on_the_way_halts_it_with_its_reason(key: Any, status: Status, reason: Reason, why: str):
    broadcast = on_its_way()
    settle(number=40)
    assert watch() == 0
    settle(status, reason, number=20)
    assert (watch(), watch()) == (1, 0)
    assert state(broadcast) == ("paused", "")
    assert broadcast.objection["why"] == why
    assert broadcast.has_halted
    assert notes.english(broadcast.status_reason).startswith("20 of 60 ")
    assert "in the last 60 s" in notes.english(broadcast.status_reason)
    assert set(DeliveryResult.objects.exclude(finished_at__isnull=False).values_list("status", flat=True)) == {"held"}
    with pytest.raises(BroadcastStateError, match="has halted by itself"):
        resume(broadcast.pk)


@pytest.mark.parametrize(
    ("accepted", "failed", "reason"),
    [
        (0, 9, Reason.BAD_TOKEN),  # a handful, whatever their share
        (5, 40, Reason.BAD_PAYLOAD),  # of too few answers
        (150, 30, Reason.BAD_TOKEN),  # within the limit
    ],
)
def test_a_few_failures_and_those_within_the_limit_do_not_halt_it(key: Any, accepted: int, failed: int, reason: Reason):
    on_its_way()
    settle(number=accepted)
    settle(Status.FAILED, reason, number=failed)
    assert watch() == 0


@pytest.mark.parametrize("reason", [Reason.THROTTLED, Reason.KEY_PAUSED, Reason.UNREACHABLE, Reason.PROVIDER_BUSY])
def test_what_waits_for_another_attempt_does_not_halt_it(key: Any, reason: Reason):
    on_its_way()
    settle(number=40)
    settle(Status.RETRYING, reason)
    assert watch() == 0


@pytest.mark.parametrize("reason", [Reason.LOGGED_OUT, Reason.NO_APP_KEY])
def test_what_we_refuse_ourselves_does_not_halt_it(key: Any, reason: Reason):
    on_its_way()
    settle(Status.SKIPPED, reason, number=100)
    assert watch() == 0


def test_only_the_last_minute_counts(key: Any, settings: Settings):
    on_its_way()
    settle(Status.FAILED, Reason.BAD_TOKEN, number=60)
    assert watch(timezone.now() + timedelta(seconds=settings.BROADCAST_HALT_WINDOW_SECONDS + 11)) == 0
    assert watch() == 1


def test_what_has_left_altogether_is_not_halted_any_more(key: Any):
    broadcast = on_its_way(60)
    settle(Status.FAILED, Reason.BAD_TOKEN)
    assert watch() == 0
    assert finish_done() == 1
    assert state(broadcast)[0] == "finished"


def test_one_that_halted_on_its_way_goes_on_where_it_stopped(key: Any):
    broadcast = on_its_way()
    settle(Status.FAILED, Reason.BAD_TOKEN, number=60)
    watch()
    go_on(broadcast.pk)
    assert state(broadcast) == ("sending", "")
    assert (broadcast.objection, broadcast.tolerated) == ({}, {"bad_tokens": 100.0})
    assert watch() == 0
    assert len(tokens()) == len(set(tokens())) == 200
    assert DeliveryResult.objects.filter(status=Status.HELD, due_at__lte=timezone.now()).count() == 140


def test_it_halts_again_for_the_same_only_when_that_has_become_half_as_bad_again(key: Any):
    broadcast = on_its_way(600)

    def later(seconds: int, accepted: int, dead: int) -> int:
        """What `dead` of so many answers do, so many seconds later."""
        DeliveryResult.objects.filter(status=Status.HELD).update(status=Status.PENDING)
        moment = timezone.now() + timedelta(seconds=seconds)
        record = PushRecord.objects.get()
        bad = (record.pk, Status.FAILED, Reason.BAD_TOKEN)
        tallies.add({(record.pk, Status.ACCEPTED, ""): accepted, bad: dead}, moment)
        return watch(moment)

    assert later(0, 70, 30) == 1
    go_on(broadcast.pk)
    assert later(100, 60, 40) == 0
    assert later(200, 50, 50) == 1


def test_a_canary_that_was_let_pass_does_not_halt_the_rest_at_once(key: Any):
    phones(160)
    broadcast = launched()
    settle(Status.FAILED, Reason.BAD_TOKEN)
    judge_canaries()
    go_on(broadcast.pk)
    expand_all(broadcast)
    assert watch() == 0


@pytest.mark.django_db(transaction=True)
def test_tokens_that_the_real_provider_refuses_halt_the_rest(
    sandbox: Sandbox, run_jobs: Callable[..., int], settings: Settings
):
    settings.MULTI_PUSH_LEAST = 10_000
    real_key(sandbox)
    AppKey.objects.update(rate_per_second=30)
    [make_device(token=f"dead0000{make_token()[8:]}") for _ in range(300)]
    broadcast = launch(make_broadcast(canary_percent=0).pk)
    for _ in range(8):
        run_jobs()
        assert sweep() is not None
    assert state(broadcast) == ("paused", "")
    assert "tokens in the last 60 s are invalid" in notes.english(broadcast.status_reason)
    assert progress(broadcast.pk).waiting > 0
