"""The tallies of broadcasts: what is counted, where, and what is left out."""

from datetime import datetime, timedelta
from datetime import timezone as tz

import pytest

from pushes.broadcasts import lifecycle
from pushes.ledger import tallies
from pushes.models import BroadcastTally, PushRecord
from pushes.names import Reason, Status
from tests.make import make_broadcast, make_record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
NOW = datetime(2026, 5, 1, 8, 0, 27, 5, tzinfo=tz.utc)


@pytest.fixture
def record() -> PushRecord:
    return PushRecord.objects.get(broadcast=lifecycle.launch(make_broadcast().pk))


def broadcast_id(record: PushRecord) -> int:
    assert record.broadcast_id is not None
    return record.broadcast_id


def test_ends_add_up_in_the_ten_seconds_that_they_came_in(record: PushRecord) -> None:
    for _ in range(2):
        tallies.add({(record.pk, Status.FAILED, Reason.BAD_TOKEN): 3, (record.pk, Status.ACCEPTED, ""): 4}, NOW)
    tallies.add({(record.pk, Status.ACCEPTED, ""): 1}, NOW + timedelta(seconds=3))
    rows = BroadcastTally.objects.order_by("bucket_at", "event").values_list("bucket_at", "event", "reason", "count")
    first = NOW.replace(second=20, microsecond=0)
    assert list(rows) == [
        (first, "accepted", "", 8),
        (first, "failed", "bad_token", 6),
        (first.replace(second=30), "accepted", "", 1),
    ]


def test_what_has_not_ended_and_what_belongs_to_no_broadcast_is_not_counted(record: PushRecord) -> None:
    other = make_record()
    tallies.add({(record.pk, Status.RETRYING, ""): 3, (other.pk, Status.ACCEPTED, ""): 4, (0, "failed", ""): 1}, NOW)
    assert not BroadcastTally.objects.exists()


def test_a_span_begins_with_whole_buckets(record: PushRecord) -> None:
    for seconds in (0, 20):
        tallies.add({(record.pk, Status.ACCEPTED, ""): 1}, NOW + timedelta(seconds=seconds))
    pk = broadcast_id(record)
    since = tallies.seconds_ago(NOW + timedelta(seconds=20), 10)
    assert since == NOW.replace(second=30, microsecond=0)
    assert tallies.ends(pk, since=since) == {("accepted", ""): 1}
    assert tallies.ends(pk) == {("accepted", ""): 2}
    assert tallies.by_event(pk, recent_since=since) == {"accepted": (2, 1)}
    assert tallies.by_event(pk + 1, recent_since=since) == {}
