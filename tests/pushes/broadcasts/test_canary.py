"""Who belongs to the canary, and what its outcomes say."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from pushes.broadcasts import canary
from pushes.broadcasts.audiences import Member
from pushes.broadcasts.canary import Limits, Objection, Tally, objection, share
from pushes.models import Broadcast, BroadcastTally
from pushes.names import App, BroadcastPhase, Environment, Platform, Reason, Status
from pushes.values import DeviceTarget
from tests.make import make_broadcast, make_delivery, make_record

LIMITS = Limits(error_percent=5.0, bad_token_percent=20.0)


@pytest.mark.parametrize(
    ("percent", "size", "parts"),
    [
        (None, 5_000, 0),  # as large as goes without
        (None, 5_001, 100),
        (None, 1_000_000, 100),
        (None, None, 100),  # the directory was away: taken as large
        (0, 1_000_000, 0),
        (10, 1_000_000, 1_000),
        (10, 100, 5_000),  # ten devices mean little: about fifty, but never more than half
        (1, 2_000, 250),
        (1, 0, 0),
        (50, None, 5_000),
        (33, 1_000_000, 3_300),
        (99, None, 5_000),
    ],
)
def test_the_share_is_the_percentage_but_enough_devices_to_mean_something(
    percent: int | None, size: int | None, parts: int
):
    assert share(Broadcast(canary_percent=percent), size) == parts


def test_the_default_share_is_a_setting(settings: Settings):
    settings.BROADCAST_CANARY_PERCENT, settings.BROADCAST_CANARY_ABOVE = 20, 10
    assert share(Broadcast(), 1_000) == 2_000
    settings.BROADCAST_CANARY_PERCENT = 0
    assert share(Broadcast(), 1_000) == 0


def member(number: int, account_id: str = "") -> Member:
    target = DeviceTarget(number, f"a{number}", Platform.ANDROID, Environment.PRODUCTION, f"token{number:040}")
    return Member(account_id or f"a{number}", None if account_id else target)


def test_a_part_is_about_the_share_always_the_same_and_another_in_every_broadcast():
    one, two = Broadcast(pk=1, canary_share=1_000), Broadcast(pk=2, canary_share=1_000)
    everybody = [member(number) for number in range(10_000)]
    first, second = ({m for m in everybody if canary.is_part(b, m)} for b in (one, two))
    assert first == {m for m in everybody if canary.is_part(one, m)}
    assert 850 < len(first) < 1_150
    assert len(first & second) < 200


def test_a_part_is_the_same_in_every_process_and_version():
    broadcast = Broadcast(pk=1, canary_share=1_000)
    assert [n for n in range(60) if canary.is_part(broadcast, member(n))] == [11, 15, 18, 28, 43, 44, 46]


@pytest.mark.parametrize(("parts", "is_part"), [(2_143, False), (2_144, True)])
def test_a_member_belongs_to_every_share_above_its_own_number(parts: int, is_part: bool):
    assert canary.is_part(Broadcast(pk=1, canary_share=parts), member(1)) is is_part


@pytest.mark.parametrize(("parts", "pages"), [(100, 10), (1_000, 10), (5_000, 2)])
def test_several_pages_are_read_at_once_for_the_canary_only(parts: int, pages: int):
    assert canary.pages_at_once(Broadcast(canary_share=parts, phase=BroadcastPhase.CANARY)) == pages
    assert canary.pages_at_once(Broadcast(canary_share=parts, phase=BroadcastPhase.REST)) == 1
    assert canary.pages_at_once(Broadcast()) == 1


@pytest.fixture
def record(db: None) -> Any:
    return make_record()


def test_without_a_canary_everybody_s_turn_has_come(record: Any):
    everybody = [member(1), member(2)]
    assert canary.members(Broadcast(pk=1), record.pk, everybody) == everybody


def test_the_two_phases_have_everybody_once(record: Any):
    broadcast = Broadcast(pk=1, canary_share=3_000, phase=BroadcastPhase.CANARY)
    everybody = [member(number) for number in range(100)]
    first = canary.members(broadcast, record.pk, everybody)
    for chosen in first:
        assert chosen.device
        make_delivery(record, account_id=chosen.account_id, token=chosen.device.token)
    broadcast.phase = BroadcastPhase.REST
    rest = canary.members(broadcast, record.pk, everybody)
    assert first
    assert sorted(m.name for m in [*first, *rest]) == [m.name for m in everybody]


def test_who_came_to_the_part_after_it_was_listed_belongs_to_the_rest(record: Any):
    broadcast = Broadcast(pk=1, canary_share=5_000, phase=BroadcastPhase.REST)
    everybody = [member(number) for number in range(20)]
    assert canary.members(broadcast, record.pk, everybody) == everybody


def test_a_phone_that_changed_hands_in_between_is_not_sent_it_twice(record: Any):
    broadcast = Broadcast(pk=1, canary_share=10_000, phase=BroadcastPhase.REST)
    moved = member(1)
    assert moved.device
    make_delivery(record, account_id="its former owner", token=moved.device.token)
    assert canary.members(broadcast, record.pk, [moved]) == []


def test_who_was_refused_as_an_account_is_not_asked_again(record: Any):
    broadcast = Broadcast(pk=1, canary_share=10_000, phase=BroadcastPhase.REST)
    make_delivery(record, account_id="a1", token="", status=Status.SKIPPED, reason=Reason.LOGGED_OUT)
    make_delivery(record, account_id="listed", token="sent to one of its phones")
    assert canary.members(broadcast, record.pk, [member(1), member(2), member(3, "listed")]) == [member(2)]


def test_rows_of_another_push_say_nothing(record: Any):
    broadcast = Broadcast(pk=1, canary_share=10_000, phase=BroadcastPhase.REST)
    chosen = member(1)
    assert chosen.device
    make_delivery(make_record(), account_id="a1", token=chosen.device.token)
    assert canary.members(broadcast, record.pk, [chosen]) == [chosen]


# --- outcomes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason", "column"),
    [
        (Status.ACCEPTED, "", "accepted"),
        (Status.FAILED, Reason.BAD_TOKEN, "bad_tokens"),
        (Status.FAILED, Reason.BAD_PAYLOAD, "errors"),
        (Status.FAILED, Reason.TOO_MANY_ATTEMPTS, "errors"),
        (Status.UNKNOWN, Reason.NO_ANSWER, "errors"),
        (Status.RETRYING, Reason.PROVIDER_BUSY, "troubled"),
        (Status.RETRYING, Reason.KEY_PAUSED, "troubled"),
        (Status.RETRYING, Reason.BAD_CREDENTIALS, "troubled"),
        (Status.RETRYING, Reason.THROTTLED, "waiting"),
        (Status.HELD, Reason.OUTSIDE_WINDOW, "waiting"),
        (Status.PENDING, "", "waiting"),
        (Status.SENDING, "", "waiting"),
        (Status.SKIPPED, Reason.LOGGED_OUT, "silent"),
        (Status.EXPIRED, Reason.TOO_LATE, "silent"),
        (Status.CANCELLED, Reason.CANCELLED, "silent"),
    ],
)
def test_every_state_of_a_delivery_counts_as_one_thing(record: Any, status: str, reason: str, column: str):
    make_delivery(record, status=status, reason=reason)
    make_delivery(make_record(), status=Status.FAILED)
    assert canary.tally([record.pk]) == Tally(**{column: 1})


@pytest.mark.parametrize(
    ("tally", "is_over", "why"),
    [
        (Tally(accepted=100), True, ""),
        (Tally(accepted=95, errors=5), True, ""),  # at the limit is not above it
        (Tally(accepted=94, errors=6), True, "6 of 100 canary results are failures: 6.0 % (limit: 5 %)"),
        (Tally(accepted=80, bad_tokens=20), True, ""),
        (Tally(accepted=78, bad_tokens=22), True, "22 of 100 canary tokens are invalid: 22.0 % (limit: 20 %)"),
        (Tally(accepted=9, errors=1), True, ""),  # one alone among several
        (Tally(accepted=8, errors=2), True, "failures"),
        (Tally(errors=1), True, "failures"),  # all there is
        (Tally(silent=50), True, ""),  # nobody was to get it: nothing speaks against the rest
        (Tally(), True, ""),
        (Tally(waiting=7), True, "None of the 7 canary devices has returned a result"),
        (Tally(troubled=7), True, "7 of 7 canary results are failures"),
        (Tally(accepted=90, troubled=10), True, "failures: 10.0 %"),
        (Tally(accepted=50, waiting=50), True, ""),
        (Tally(accepted=10, errors=9), False, ""),  # too few answers to halt before the end
        (Tally(accepted=10, errors=10), False, "failures: 50.0 %"),
        (Tally(accepted=10, bad_tokens=10), False, "tokens are invalid"),
        (Tally(accepted=20, troubled=100), False, ""),  # they may still succeed
    ],
)
def test_what_speaks_against_the_rest(tally: Tally, is_over: bool, why: str):
    found = objection(tally, LIMITS, is_over=is_over)
    assert why in found.note if found else not why
    assert bool(found) == bool(why)


def test_the_wait_begins_when_the_last_of_it_could_be_sent(record: Any, settings: Settings):
    settings.BROADCAST_CANARY_WAIT_SECONDS = 60.0
    now = timezone.now()
    make_delivery(record, status=Status.ACCEPTED, due_at=now + timedelta(days=1))
    make_delivery(record, status=Status.RETRYING, due_at=now + timedelta(days=1))
    assert canary.waits_until(now, [record.pk]) == now + timedelta(seconds=60)
    opens = now + timedelta(hours=8)
    make_delivery(record, status=Status.HELD, reason=Reason.OUTSIDE_WINDOW, due_at=opens)
    assert canary.waits_until(now, [record.pk]) == opens + timedelta(seconds=60)


def test_only_a_listed_canary_makes_the_rest_wait(db: None):
    broadcast = make_broadcast(app=App.HIGO, phase=BroadcastPhase.CANARY)
    assert not canary.is_waiting(broadcast)
    broadcast.canary_listed_at = timezone.now()
    assert canary.is_waiting(broadcast)
    broadcast.phase = BroadcastPhase.REST
    assert not canary.is_waiting(broadcast)


@pytest.mark.parametrize(
    ("column", "left"), [("troubled", False), ("waiting", False), ("silent", True), ("errors", True)]
)
def test_a_canary_is_complete_when_nothing_of_it_waits(column: str, left: bool):
    assert Tally(**{column: 1}).is_complete is left


def test_the_sizes_that_mean_something_are_between_their_limits():
    # A share of nothing is raised to fifty devices, and one device more than twice as many is less than half.
    assert share(Broadcast(canary_percent=1), 101) == 4_951
    assert share(Broadcast(canary_percent=1), 1) == 5_000
    assert share(Broadcast(canary_percent=3), None) == 300


def test_an_objection_is_read_as_it_was_stored_and_none_that_another_version_wrote():
    found = Objection("errors", 6, 100, 5.0, 60)
    assert Objection.read(found._asdict()) == found
    assert Objection.read({"why": "errors", "new": 1}) is None


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (("errors", 6, 100, 5.0), "6 of 100 canary results are failures: 6.0 % (limit: 5 %)."),
        (("bad_tokens", 6, 100, 5.0), "6 of 100 canary tokens are invalid: 6.0 % (limit: 5 %)."),
        (("errors", 6_000, 9_000, 5, 60), "6,000 of 9,000 results in the last 60 s are failures: 66.7 % (limit: 5 %)."),
        (("bad_tokens", 6, 100, 5.5, 60), "6 of 100 tokens in the last 60 s are invalid: 6.0 % (limit: 5.5 %)."),
        (("silence", 7, 0, 0.0), "None of the 7 canary devices has returned a result."),
    ],
)
def test_an_objection_says_how_many_of_whom_and_the_limit(stored: tuple[Any, ...], words: str):
    assert Objection(*stored).note == words


def test_what_somebody_let_pass_halts_it_again_when_it_gets_half_as_bad_again(settings: Settings):
    settings.BROADCAST_CANARY_ERROR_PERCENT, settings.BROADCAST_CANARY_BAD_TOKEN_PERCENT = 5.0, 20.0
    assert canary.limits() == canary.limits(Broadcast(tolerated={})) == Limits(5.0, 20.0)
    assert canary.limits(Broadcast(tolerated={"errors": 10.0})) == Limits(15.0, 20.0)
    assert canary.limits(Broadcast(tolerated={"errors": 1.0, "bad_tokens": 40.0})) == Limits(5.0, 60.0)


# --- of the last minute ------------------------------------------------------------------------


def ended(broadcast: Broadcast, event: str, number: int, reason: str = "", *, ago: int = 0) -> None:
    at = timezone.now() - timedelta(seconds=ago)
    BroadcastTally.objects.create(broadcast_id=broadcast.pk, bucket_at=at, event=event, reason=reason, count=number)


@pytest.fixture
def sending(db: None, settings: Settings) -> Broadcast:
    settings.BROADCAST_HALT_WINDOW_SECONDS = 60.0
    settings.BROADCAST_CANARY_ERROR_PERCENT, settings.BROADCAST_CANARY_BAD_TOKEN_PERCENT = 5.0, 20.0
    return make_broadcast(app=App.HIGO)


@pytest.mark.parametrize(
    ("accepted", "failed", "is_halted"),
    [(40, 10, True), (39, 10, False), (41, 9, False), (190, 10, False), (189, 10, True)],
)
def test_ten_failures_of_fifty_answers_are_a_spike(sending: Broadcast, accepted: int, failed: int, is_halted: bool):
    ended(sending, Status.ACCEPTED, accepted)
    ended(sending, Status.FAILED, failed, Reason.BAD_PAYLOAD)
    found = canary.spike(sending, timezone.now())
    assert (found is not None) is is_halted
    if found:
        assert found == Objection("errors", failed, accepted + failed, 5.0, 60)


def test_a_spike_is_of_the_last_minute_and_of_one_broadcast(sending: Broadcast):
    ended(sending, Status.FAILED, 100, ago=600)
    ended(make_broadcast(app=App.HIGO), Status.FAILED, 100)
    assert canary.spike(sending, timezone.now()) is None
    assert canary.recent(sending.pk) == Tally(errors=100)
    assert canary.recent(sending.pk, timezone.now() - timedelta(seconds=60)) == Tally()


def test_what_ended_before_somebody_let_it_go_on_is_no_spike(sending: Broadcast):
    ended(sending, Status.FAILED, 100, ago=30)
    assert canary.spike(sending, timezone.now()) is not None
    sending.watched_from = timezone.now() - timedelta(seconds=10)
    assert canary.spike(sending, timezone.now()) is None


def test_doubted_tokens_halt_it_before_there_are_fifty_answers(sending: Broadcast):
    ended(sending, BroadcastTally.MADE, 1_000)
    ended(sending, BroadcastTally.DOUBTED, 10, Reason.TOKENS_DOUBTED)
    assert canary.spike(sending, timezone.now()) == Objection("bad_tokens", 10, 10, 20.0, 60)
    # The pushes wait, and will have an end of their own.
    assert canary.recent(sending.pk) == Tally()
