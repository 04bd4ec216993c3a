"""What an address of the delivery log asks for: of the list as of a job."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from pushes.history import log_query, pages, rare_rows
from pushes.models import DeliveryResult, PushRecord
from pushes.names import Kind, Reason, Status
from tests.make import make_app_key, make_broadcast, make_delivery, make_record
from tests.pushes.console.conftest import SignIn, sign_in, url, viewer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
__all__ = ["SignIn", "sign_in", "viewer"]


def rows(**conditions: Any) -> QuerySet[DeliveryResult]:
    return DeliveryResult.objects.filter(**conditions).order_by()


def asked(address: str) -> list[int]:
    found = DeliveryResult.objects.filter(log_query.read(address).rows)
    return list(found.order_by("-pk").values_list("pk", flat=True))


# --- a time ------------------------------------------------------------------------------------
def test_since_bounds_rows_by_time_and_by_key() -> None:
    now = timezone.now()
    old = make_delivery(created_at=now - timedelta(hours=3))
    new = make_delivery(created_at=now - timedelta(minutes=3))
    found = rows().filter(log_query.since(DeliveryResult, now - timedelta(hours=1)).rows)
    assert [row.pk for row in found] == [new.pk]
    assert old.pk < new.pk
    assert '"id" >=' in str(found.query) or "`id` >=" in str(found.query)


def test_until_leaves_out_what_came_later() -> None:
    now = timezone.now()
    old = make_delivery(created_at=now - timedelta(hours=3))
    make_delivery(created_at=now)
    found = log_query.until(DeliveryResult, now - timedelta(hours=1))
    assert [row.pk for row in rows().filter(found.rows)] == [old.pk]


def test_a_time_without_rows_finds_none() -> None:
    def found(begins: timedelta, ends: timedelta) -> list[bool]:
        now = timezone.now()
        both = (log_query.since(DeliveryResult, now + begins), log_query.until(DeliveryResult, now + ends))
        return [rows().filter(condition.rows).exists() for condition in both]

    make_delivery()
    assert found(timedelta(days=1), timedelta(days=-1)) == [False, False]
    DeliveryResult.objects.all().delete()
    assert found(timedelta(), timedelta()) == [False, False]


def test_a_time_that_all_rows_are_within_bounds_nothing() -> None:
    row = make_delivery()
    begins = log_query.since(DeliveryResult, row.created_at - timedelta(days=1))
    ends = log_query.until(DeliveryResult, row.created_at + timedelta(days=1))
    assert [found.pk for found in rows().filter(begins.rows, ends.rows)] == [row.pk]
    assert (begins.lowest, ends.highest) == (None, None)


@pytest.mark.parametrize("seconds", range(0, 200, 7))
def test_times_and_ids_may_disagree_by_a_job_s_length(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Jobs take turns of 1, 50 and 110 seconds, and each inserts its rows when it ends, with the time of its start."""
    monkeypatch.setattr(pages, "ID_SLACK", 0)
    start = timezone.now() - timedelta(hours=1)
    ends = sorted((begins + (1, 50, 110)[begins % 3], begins) for begins in range(0, 200, 5))
    for _end, begins in ends:
        make_delivery(created_at=start + timedelta(seconds=begins))
    moment = start + timedelta(seconds=seconds)
    for found, expected in (
        (log_query.since(DeliveryResult, moment), rows(created_at__gte=moment)),
        (log_query.until(DeliveryResult, moment), rows(created_at__lt=moment)),
    ):
        assert set(rows().filter(found.rows)) == set(expected)


def test_the_bounds_of_a_time_are_near_however_many_rows_lie_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ID_SLACK", 1)
    start = timezone.now() - timedelta(hours=1)
    numbers = [make_delivery(created_at=start + timedelta(seconds=n)).pk for n in range(20)]
    begins = log_query.since(DeliveryResult, start + timedelta(seconds=5))
    ends = log_query.until(DeliveryResult, start + timedelta(seconds=15))
    assert (begins.lowest, ends.highest) == (numbers[5] - 1, numbers[14] + 1)


# --- a whole address ---------------------------------------------------------------------------
@pytest.fixture
def log() -> None:
    """Deliveries of many kinds; the app key is #2, the broadcast #5, one push is #7."""
    now = timezone.now()
    key = make_app_key(pk=2)
    sent = make_record(broadcast_id=make_broadcast(pk=5).pk)
    seventh = make_record(pk=7, message_id="order-7", kind=Kind.GROUP, push_type=1)
    for number, status in enumerate(Status):
        record = (sent, seventh, make_record())[number % 3]
        when = now - timedelta(minutes=17 * number)
        ended = when + timedelta(seconds=5)
        reason = Reason.BAD_TOKEN if status == Status.FAILED else ""
        times = {"created_at": when, "sent_at": ended, "finished_at": ended}
        make_delivery(record, status=status, reason=reason, app_key_id=key.pk if number % 2 else None, **times)
    make_delivery(status=Status.SKIPPED, reason=Reason.MUTED, account_id="100007", attempts=2)


ADDRESSES = [
    *("", "status__exact=failed", "status__exact=", "status__exact=failed&status__exact=skipped", "kind__exact=group"),
    *("push_type__exact=1", "reason=none", "reason=bad_token", "reason=", "live=1", "live=0", "live=2", "key=2"),
    *("key=x", "record=7", "record=%237", "record=seven", "broadcast=5", "broadcast=x", "attempt_failed=1h"),
    *("attempt_failed=24h", "within=1h", "within=10m&live=1", "within=2h", "q=100007", "q=order-7", "q=nothing"),
    *("q=%20", "q=account%3A100007&status__exact=failed", "reason__exact=bad_token", "reason__exact=", "id__in=1,2,3"),
    *(
        "pk__gte=3",
        "sent_at__isnull=0",
        "sent_at__isnull=1",
        "record=7&record=8",
        "app_key_id__isnull=1",
        "record__in=7,8",
    ),
    *("from=nonsense", "e=1", "o=1&live=1", "_facets=True", "status__in=failed,skipped"),
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.usefixtures("log")
def test_a_job_finds_the_rows_that_the_list_shows(viewer: Client, address: str) -> None:
    answer: Any = viewer.get(f"{url('deliveryresult_changelist')}?{address}", follow=True)
    assert asked(address) == [row.pk for row in answer.context["cl"].queryset.order_by("-pk")]


@pytest.mark.parametrize("name", ["from", "until", "finished_from", "finished_until"])
@pytest.mark.parametrize("minutes", [0, 60, 100])
@pytest.mark.usefixtures("log")
def test_and_of_a_time_that_was_typed(viewer: Client, name: str, minutes: int) -> None:
    moment = timezone.localtime() - timedelta(minutes=minutes)
    address = urlencode({name: f"{moment:%Y-%m-%d %H:%M}"})
    answer: Any = viewer.get(f"{url('deliveryresult_changelist')}?{address}")
    assert asked(address) == [row.pk for row in answer.context["cl"].queryset.order_by("-pk")]
    assert log_query.read(address).bounds == answer.context["cl"].bounds()


@pytest.mark.parametrize(
    ("address", "is_indexed"),
    [("", False), ("live=1", False), ("q=7", True), ("record=7", True), ("broadcast=5", True)],
)
def test_what_has_an_index_needs_no_walk(address: str, is_indexed: bool) -> None:
    assert log_query.read(address).is_indexed == is_indexed


def test_a_walk_looks_into_the_noted_blocks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rare_rows, "sieve", lambda wanted: wanted)
    bounds = log_query.read("status__exact=failed&reason=bad_token&key=2&kind__exact=&record=7").bounds
    assert dict(bounds.sieve) == {"status": "failed", "reason": "bad_token", "app_key_id": "2"}  # type: ignore[call-overload]
    assert dict(log_query.read("reason=none").bounds.sieve) == {}  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("address", "error"),
    [("record__text__startswith=a", FieldError), ("nonsense=1", FieldDoesNotExist), ("push_type__exact=x", ValueError)],
)
def test_what_is_no_condition_of_the_log_is_refused(address: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        asked(address)


def test_a_broadcast_s_pushes_are_found_too() -> None:
    wanted = make_record(broadcast_id=make_broadcast().pk)
    make_record()
    condition = log_query.broadcast(PushRecord, str(wanted.broadcast_id))
    assert condition is not None
    assert list(PushRecord.objects.filter(condition.rows)) == [wanted]
