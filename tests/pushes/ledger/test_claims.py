from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from pushes.ledger import claims
from pushes.models import DeliveryResult, Device
from pushes.names import CLAIMABLE, Reason, Status
from tests.make import make_account, make_device
from tests.pushes.rows import make_delivery, make_record
from tests.together import together

pytestmark = pytest.mark.django_db
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def now() -> datetime:
    return timezone.now()


def take(*deliveries: DeliveryResult, at: datetime | None = None) -> tuple[str, list[int]]:
    token, rows = claims.claim([row.pk for row in deliveries], now=at or now(), lease_seconds=60)
    return token, [row.id for row in rows]


def conversation(*deliveries: DeliveryResult, key: int = 7) -> tuple[DeliveryResult, ...]:
    DeliveryResult.objects.filter(pk__in=[row.pk for row in deliveries]).update(order_key=key)
    return deliveries


def is_about(found: datetime | None, wanted: datetime) -> bool:
    """A lease is by the database's clock, which is read a moment later than ours."""
    return found is not None and wanted <= found + timedelta(milliseconds=1) <= wanted + SECOND


# --- claim ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", CLAIMABLE)
def test_a_due_row_is_claimed_with_a_lease(status: Status):
    row, at = make_delivery(status=status), now()
    token, ids = take(row, at=at)
    row.refresh_from_db()
    assert ids == [row.pk]
    assert (row.status, row.claim) == (Status.SENDING, token)
    assert is_about(row.lease_until, at + MINUTE)


@pytest.mark.parametrize("status", sorted(set(Status) - set(CLAIMABLE)))
def test_a_row_in_any_other_state_is_not_claimed(status: Status):
    row = make_delivery(status=status, claim="older")
    assert take(row)[1] == []
    row.refresh_from_db()
    assert (row.status, row.claim) == (status, "older")


def test_a_row_is_claimed_once():
    row = make_delivery()
    assert take(row)[1] == [row.pk]
    assert take(row)[1] == []


@pytest.mark.parametrize("status", [Status.RETRYING, Status.HELD])
def test_a_row_that_is_not_yet_due_waits(status: Status):
    at = now()
    due = make_delivery(status=status, due_at=at)
    early = make_delivery(status=status, due_at=at + timedelta(microseconds=1))
    assert take(due, early, at=at)[1] == [due.pk]


def test_a_pending_row_from_a_machine_whose_clock_is_ahead_does_not_wait():
    """Its job would come and go without it, and then the sweeper would have to find it."""
    row = make_delivery(due_at=now() + MINUTE)
    assert take(row)[1] == [row.pk]


def test_an_expired_row_is_not_sent():
    at = now()
    over, last = make_delivery(expires_at=at), make_delivery(expires_at=at + timedelta(microseconds=1))
    assert take(over, last, at=at)[1] == [last.pk]


def test_rows_come_by_id_whatever_the_order_asked():
    rows = [make_delivery() for _ in range(5)]
    assert take(*reversed(rows))[1] == [row.pk for row in rows]


def test_the_row_claimed_says_what_sending_needs():
    delivery = make_delivery(attempts=2)
    _, [row] = claims.claim([delivery.pk], now=now(), lease_seconds=60)
    assert (row.record_id, row.token, row.account_id) == (delivery.record_id, delivery.token, delivery.account_id)
    assert (row.attempts, row.expires_at, row.device_id) == (2, delivery.expires_at, None)


def test_a_claim_has_a_token_of_its_own_or_the_one_that_was_brought():
    one, two = make_delivery(), make_delivery()
    first, second = take(one)[0], take(two)[0]
    assert first != second
    assert len(first) == 16
    brought, rows = claims.claim([make_delivery().pk], now=now(), lease_seconds=60, token="brought")
    assert (brought, len(rows)) == ("brought", 1)
    assert DeliveryResult.objects.filter(claim="brought").count() == 1


def test_a_token_that_is_brought_twice_returns_only_what_was_asked_for():
    earlier, later = make_delivery(), make_delivery()
    claims.claim([earlier.pk], now=now(), lease_seconds=60, token="brought")
    _, rows = claims.claim([later.pk], now=now(), lease_seconds=60, token="brought")
    assert [row.id for row in rows] == [later.pk]


def test_a_claim_that_took_nothing_has_its_token_all_the_same():
    assert claims.claim([], now=now(), lease_seconds=60, token="brought") == ("brought", [])


@pytest.mark.parametrize(
    ("change", "has_left"),
    [({}, False), ({"account_id": "somebody else"}, True), ({"is_active": False}, True)],
)
def test_the_row_claimed_says_whether_the_phone_is_still_its_owners(change: dict[str, object], has_left: bool):
    make_account("somebody else")
    device = make_device(make_account("owner"))
    delivery = make_delivery(None, device, device_id=device.pk)
    Device.objects.filter(pk=device.pk).update(**change)
    _, [row] = claims.claim([delivery.pk], now=now(), lease_seconds=60)
    assert row.has_left_its_owner is has_left


def test_a_phone_that_another_directory_keeps_has_not_left_its_owner():
    _, [row] = claims.claim([make_delivery().pk], now=now(), lease_seconds=60)
    assert not row.has_left_its_owner


def test_rows_of_one_record_and_count_show_the_same_words():
    record = make_record()
    rows = [make_delivery(record), make_delivery(record), make_delivery(record, stands_for=2), make_delivery()]
    _, claimed = claims.claim([row.pk for row in rows], now=now(), lease_seconds=60)
    assert [row.wording == claimed[0].wording for row in claimed] == [True, True, False, False]


def test_a_former_attempts_time_does_not_make_the_new_claim_look_begun():
    row = make_delivery(status=Status.RETRYING, sent_at=now())
    take(row)
    row.refresh_from_db()
    assert row.sent_at is None


def test_claiming_nothing_is_no_error():
    assert take()[1] == []


def test_a_claim_is_a_bounded_number_of_queries(django_assert_max_num_queries):
    few = [make_delivery(order_key=n) for n in range(3)]
    many = [make_delivery(order_key=100 + n) for n in range(60)]
    for rows in (few, many):
        with django_assert_max_num_queries(4):
            assert len(take(*rows)[1]) == len(rows)


# --- order ------------------------------------------------------------------------------------


def test_only_the_first_of_a_conversation_is_claimed():
    first, second = conversation(make_delivery(), make_delivery())
    assert take(first, second)[1] == [first.pk]


def test_the_second_is_free_when_the_first_is_over():
    first, second = conversation(make_delivery(), make_delivery())
    token, _ = take(first, second)
    assert take(second)[1] == []
    claims.settle([first.pk], token, status=Status.ACCEPTED, order_key=None, finished_at=now())
    assert take(second)[1] == [second.pk]


@pytest.mark.parametrize("status", [Status.RETRYING, Status.HELD, Status.PENDING, Status.SENDING])
def test_a_live_earlier_message_blocks_the_later_one(status: Status):
    first, second = conversation(make_delivery(status=status, due_at=now() + MINUTE), make_delivery())
    assert take(second)[1] == []
    assert first.pk < second.pk


def test_another_conversation_or_device_is_not_blocked():
    conversation(make_delivery(due_at=now() + MINUTE), key=7)
    (other,) = conversation(make_delivery(), key=8)
    free = make_delivery()
    assert take(other, free)[1] == [other.pk, free.pk]


def test_a_later_message_does_not_block_the_earlier_one():
    first, second = conversation(make_delivery(), make_delivery())
    assert take(first)[1] == [first.pk]
    assert second.pk > first.pk


def test_those_that_waited_for_what_was_sent_may_be_free_now():
    first, second = conversation(make_delivery(), make_delivery())
    (elsewhere,) = conversation(make_delivery(due_at=now() + MINUTE), key=8)
    single = make_delivery()
    asked = [second.pk, first.pk, elsewhere.pk, single.pk]
    _, sent = claims.claim([first.pk, single.pk], now=now(), lease_seconds=60)
    assert claims.waited_for(sent, asked) == [second.pk]
    assert claims.waited_for(sent, [first.pk]) == []
    assert claims.waited_for([row for row in sent if row.id == single.pk], asked) == []


def test_where_nobody_can_have_waited_nothing_is_asked(django_assert_num_queries):
    (row,) = conversation(make_delivery())
    single = make_delivery()
    _, sent = claims.claim([row.pk, single.pk], now=now(), lease_seconds=60)
    with django_assert_num_queries(0):
        assert claims.waited_for(sent, [row.pk]) == []
        assert claims.waited_for([claimed for claimed in sent if claimed.id == single.pk], [row.pk]) == []


# --- begin ------------------------------------------------------------------------------------


def test_begin_counts_the_attempt_and_writes_its_time():
    row = make_delivery(attempts=1)
    token, _ = take(row)
    at = now()
    assert claims.begin([row.pk], token, now=at, lease_seconds=60) == {row.pk}
    row.refresh_from_db()
    assert (row.attempts, row.sent_at) == (2, at)


def test_begin_starts_the_lease_anew():
    """A window that was long in preparing would else be taken away from under its own calls, and sent twice."""
    row = make_delivery()
    token, _ = take(row)
    DeliveryResult.objects.update(lease_until=now() + SECOND)
    at = now()
    claims.begin([row.pk], token, now=at, lease_seconds=60)
    row.refresh_from_db()
    assert is_about(row.lease_until, at + MINUTE)


def test_begin_returns_only_what_is_still_ours():
    kept, lost, foreign = make_delivery(), make_delivery(), make_delivery()
    token, _ = take(kept, lost)
    take(foreign)
    DeliveryResult.objects.filter(pk=lost.pk).update(status=Status.PENDING, claim="")
    assert claims.begin([kept.pk, lost.pk, foreign.pk], token, now=now(), lease_seconds=60) == {kept.pk}
    assert list(DeliveryResult.objects.order_by("id").values_list("attempts", flat=True)) == [1, 0, 0]


def test_what_expired_between_claim_and_call_is_not_begun():
    late = make_delivery(expires_at=now() + timedelta(seconds=5))
    fresh = make_delivery()
    token, ids = take(late, fresh)
    assert claims.begin(ids, token, now=now() + timedelta(seconds=6), lease_seconds=60) == {fresh.pk}
    late.refresh_from_db()
    assert (late.sent_at, late.attempts) == (None, 0)


# --- settle, release, postpone ----------------------------------------------------------------


def test_settle_moves_the_row_on_and_gives_up_the_claim():
    row = make_delivery()
    token, _ = take(row)
    assert claims.settle([row.pk], token, status=Status.RETRYING, reason=Reason.PROVIDER_BUSY) == 1
    row.refresh_from_db()
    assert (row.status, row.reason, row.claim, row.lease_until) == (Status.RETRYING, Reason.PROVIDER_BUSY, "", None)


def test_a_lost_claim_settles_nothing():
    row = make_delivery()
    lost, _ = take(row)
    claims.release([row.pk], lost, due_at=now() - SECOND, reason=Reason.CUT_OFF)
    held, _ = take(row)
    assert claims.settle([row.pk], lost, status=Status.FAILED) == 0
    row.refresh_from_db()
    assert (row.status, row.claim) == (Status.SENDING, held)


def test_a_settled_row_is_settled_once():
    row = make_delivery()
    token, _ = take(row)
    claims.settle([row.pk], token, status=Status.ACCEPTED)
    assert claims.settle([row.pk], token, status=Status.FAILED) == 0
    row.refresh_from_db()
    assert row.status == Status.ACCEPTED


def test_a_released_row_waits_with_its_reason_until_its_time():
    row = make_delivery(status=Status.HELD, attempts=1)
    token, _ = take(row)
    at = now() + MINUTE
    claims.release([row.pk], token, due_at=at, reason=Reason.THROTTLED)
    row.refresh_from_db()
    assert (row.status, row.due_at, row.reason, row.claim) == (Status.RETRYING, at, Reason.THROTTLED, "")
    assert row.attempts == 1


def test_a_released_row_that_was_begun_gets_its_attempt_back():
    row = make_delivery(attempts=1)
    token, _ = take(row)
    claims.begin([row.pk], token, now=now(), lease_seconds=60)
    claims.release([row.pk], token, due_at=now(), reason=Reason.THROTTLED, is_begun=True)
    row.refresh_from_db()
    assert row.attempts == 1


def test_a_released_row_may_be_claimed_by_anybody():
    row = make_delivery()
    token, _ = take(row)
    claims.release([row.pk], token, due_at=now() - SECOND, reason=Reason.CUT_OFF)
    assert take(row)[1] == [row.pk]


def test_what_never_left_is_given_back_begun_or_not():
    begun, unbegun, taken = make_delivery(attempts=2), make_delivery(attempts=2), make_delivery()
    token, _ = take(begun, unbegun, taken)
    claims.begin([begun.pk], token, now=now(), lease_seconds=60)
    DeliveryResult.objects.filter(pk=taken.pk).update(claim="another")
    at = now()
    assert claims.give_back([begun.pk, unbegun.pk, taken.pk], token, now=at) == 2
    for row in (begun, unbegun):
        row.refresh_from_db()
        assert (row.status, row.reason, row.due_at, row.claim) == (Status.RETRYING, Reason.CUT_OFF, at, "")
        assert (row.attempts, row.sent_at, row.lease_until) == (2, None, None)
    taken.refresh_from_db()
    assert taken.status == Status.SENDING


def test_postponed_rows_wait():
    pending, retrying = make_delivery(), make_delivery(status=Status.RETRYING)
    at = now() + MINUTE
    assert claims.postpone([pending.pk, retrying.pk], due_at=at, reason=Reason.THROTTLED) == 2
    assert take(pending, retrying)[1] == []
    assert take(pending, retrying, at=at)[1] == [pending.pk, retrying.pk]


def test_a_postponed_row_says_why_and_has_no_job_of_its_own():
    row = make_delivery()
    claims.postpone([row.pk], due_at=now() + MINUTE, reason=Reason.KEY_PAUSED)
    row.refresh_from_db()
    assert (row.status, row.reason) == (Status.RETRYING, Reason.KEY_PAUSED)


def test_postponing_never_brings_a_row_forward():
    late = now() + timedelta(hours=1)
    row = make_delivery(status=Status.RETRYING, due_at=late, expires_at=late + MINUTE)
    claims.postpone([row.pk], due_at=now() + MINUTE, reason=Reason.THROTTLED)
    row.refresh_from_db()
    assert row.due_at == late


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.PENDING, Status.RETRYING}))
def test_what_is_not_waiting_is_not_postponed(status: Status):
    row = make_delivery(status=status)
    assert claims.postpone([row.pk], due_at=now() + MINUTE, reason=Reason.THROTTLED) == 0


def test_only_what_is_still_ours_is_held_or_counted_anew():
    ours, lost = make_delivery(), make_delivery()
    token, ids = take(ours, lost)
    DeliveryResult.objects.filter(pk=lost.pk).update(claim="another")
    assert claims.still_held(ids, token) == {ours.pk}
    assert [claims.recount(pk, token, 5) for pk in ids] == [1, 0]
    assert list(DeliveryResult.objects.order_by("id").values_list("stands_for", flat=True)) == [5, 1]


# --- several workers --------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_workers_at_the_same_time_share_the_rows_without_overlap():
    record = make_record()
    ids = [make_delivery(record).pk for _ in range(60)]

    def work() -> list[int]:
        claimed = [claims.claim(ids[start : start + 20], now=now(), lease_seconds=60) for start in range(0, 60, 20)]
        return [row.id for _, rows in claimed for row in rows]

    assert sorted(pk for taken in together([work] * 4) for pk in taken) == ids
