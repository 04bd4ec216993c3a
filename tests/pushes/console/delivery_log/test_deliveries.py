from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pushes.history import rare_rows
from pushes.models import DeliveryResult, MultiPush, PushRecord
from pushes.names import Kind, Reason, Status
from tests.make import make_app_key, make_broadcast, make_delivery, make_record, make_token
from tests.pushes.console.conftest import url

pytestmark = pytest.mark.django_db


def shown(client: Client, **query: Any) -> set[int]:
    """The numbers of the deliveries on the page."""
    answer = client.get(url("deliveryresult_changelist"), query)
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


@pytest.fixture
def wanted() -> DeliveryResult:
    """One delivery that differs from another in everything a search can name."""
    make_delivery(make_record(message_id="other"), account_id="other", status=Status.PENDING, app_key_id=1)
    record = make_record(message_id="order-7", kind=Kind.GROUP, push_type=1, broadcast=make_broadcast(pk=5))
    return make_delivery(
        record,
        account_id="100007",
        token="ab12cd" + make_token()[6:],
        status=Status.FAILED,
        reason=Reason.BAD_TOKEN,
        app_key_id=2,
        provider_push_id="900001",
    )


@pytest.mark.parametrize(
    "text",
    ["100007", "account:100007", "order-7", "message:order-7", "ab12cd", "token:ab12cd", "900001", "provider:900001"],
)
def test_the_search_understands(viewer: Client, wanted: DeliveryResult, text: str) -> None:
    assert shown(viewer, q=text) == {wanted.pk}


def test_the_search_finds_a_whole_token(viewer: Client, wanted: DeliveryResult) -> None:
    assert shown(viewer, q=wanted.token) == {wanted.pk}


@pytest.mark.parametrize(
    ("conversation", "text"),
    [
        ("group:42", "group:42"),
        ("group:42", "chat:42"),
        ("group:42", "chat:group:42"),
        ("private:1:2", "private:1:2"),
        ("private:1:2", "chat:2,1"),
        ("private:1:2", "chat:1:2"),
    ],
)
def test_the_search_finds_a_chat(viewer: Client, wanted: DeliveryResult, conversation: str, text: str) -> None:
    PushRecord.objects.filter(pk=wanted.record_id).update(conversation=conversation)
    assert shown(viewer, q=text) == {wanted.pk}
    found = viewer.get(url("pushrecord_changelist"), {"q": text}).context["cl"].result_list
    assert [record.pk for record in found] == [wanted.record_id]


def test_a_message_id_that_many_pushes_carry_shows_the_newest(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushes.history.search.MAX_RECORDS", 2)
    rows = [make_delivery(make_record(message_id="often")) for _ in range(3)]
    page = viewer.get(url("deliveryresult_changelist"), {"q": "often"})
    assert {row.pk for row in page.context["cl"].result_list} == {row.pk for row in rows[1:]}
    assert "message often (newest 2 pushes)" in page.content.decode()


def test_rare_rows_are_found_through_the_blocks_that_hold_them(viewer: Client, wanted: DeliveryResult) -> None:
    assert rare_rows.note(timezone.now() + timedelta(hours=1)) == 0
    make_delivery(pk=wanted.pk + 5 * rare_rows.SIZE)
    assert rare_rows.note(timezone.now() + timedelta(hours=1)) >= 1
    make_app_key(pk=2)
    query = {
        "status__exact": "failed",
        "reason": "bad_token",
        "kind__exact": "group",
        "push_type__exact": "1",
        "key": "2",
    }
    with CaptureQueriesContext(connection) as queries:
        assert shown(viewer, **query) == {wanted.pk}
    assert any("pushes_logblock" in q["sql"] for q in queries)


def test_the_search_finds_a_push_by_its_number(viewer: Client, wanted: DeliveryResult) -> None:
    assert shown(viewer, q=f"#{wanted.record_id}") == {wanted.pk}


def test_the_search_finds_what_was_sent_as_a_list(viewer: Client, wanted: DeliveryResult) -> None:
    MultiPush.objects.create(record=wanted.record, app_key=make_app_key(), push_id="900001")
    assert shown(viewer, q="900001") == {wanted.pk}


@pytest.mark.parametrize("text", ["nobody", "ab12", "message:nothing", "#999999", "#x", "account:", "provider:1"])
def test_the_search_finds_nothing_rather_than_everything(viewer: Client, wanted: DeliveryResult, text: str) -> None:
    assert shown(viewer, q=text) == set()


def test_the_page_says_how_the_search_was_understood(viewer: Client, wanted: DeliveryResult) -> None:
    page = viewer.get(url("deliveryresult_changelist"), {"q": "order-7"})
    assert "Showing message order-7." in page.content.decode()


@pytest.mark.parametrize(
    "query",
    [
        {"status__exact": "failed"},
        {"reason": "bad_token"},
        {"kind__exact": "group"},
        {"push_type__exact": "1"},
        {"broadcast": "5"},
        {"broadcast": "#5"},
        {"within": "10m", "status__exact": "failed"},
    ],
)
def test_the_filters_narrow(viewer: Client, wanted: DeliveryResult, query: dict[str, str]) -> None:
    assert shown(viewer, **query) == {wanted.pk}


def test_the_log_is_filtered_by_key_and_by_push(viewer: Client, wanted: DeliveryResult) -> None:
    make_app_key(pk=2)
    assert shown(viewer, key="2") == {wanted.pk}
    assert shown(viewer, record=wanted.record_id) == {wanted.pk}


def test_pushes_are_filtered_by_broadcast_too(viewer: Client, wanted: DeliveryResult) -> None:
    found = viewer.get(url("pushrecord_changelist"), {"broadcast": 5}).context["cl"].result_list
    assert [row.pk for row in found] == [wanted.record_id]


def test_the_log_is_filtered_by_time(viewer: Client) -> None:
    old = make_delivery(created_at=timezone.now() - timedelta(days=3))
    new = make_delivery()
    yesterday = f"{timezone.localtime() - timedelta(days=1):%Y-%m-%d %H:%M}"
    assert shown(viewer, **{"from": yesterday}) == {new.pk}
    assert shown(viewer, until=yesterday) == {old.pk}
    assert shown(viewer, within="1h") == {new.pk}


@pytest.mark.parametrize("query", [{"from": "yesterday"}, {"until": "2026-13-01"}, {"record": "x"}, {"broadcast": "x"}])
def test_a_filter_that_makes_no_sense_is_named(viewer: Client, query: dict[str, str]) -> None:
    page = viewer.get(url("deliveryresult_changelist"), query)
    assert "&#x27;" in page.content.decode()
    assert page.status_code == 200


def test_the_newest_stands_first_and_pages_follow_by_key(viewer: Client) -> None:
    record = make_record()
    numbers = [make_delivery(record).pk for _ in range(60)]
    first = viewer.get(url("deliveryresult_changelist"))
    changelist = first.context["cl"]
    assert [row.pk for row in changelist.result_list] == numbers[:9:-1]
    second = viewer.get(url("deliveryresult_changelist") + changelist.older_url)
    assert [row.pk for row in second.context["cl"].result_list] == numbers[9::-1]
    back = viewer.get(url("deliveryresult_changelist") + second.context["cl"].newer_url)
    assert [row.pk for row in back.context["cl"].result_list] == numbers[:9:-1]


def test_filters_survive_the_way_to_the_next_page(viewer: Client) -> None:
    record = make_record()
    for _ in range(51):
        make_delivery(record)
    page = viewer.get(url("deliveryresult_changelist"), {"status__exact": "accepted"})
    assert "status__exact=accepted" in page.context["cl"].older_url


@pytest.mark.parametrize("query", [{}, {"q": "1"}, {"status__exact": "failed"}, {"within": "24h"}, {"broadcast": "5"}])
def test_no_page_counts_skips_or_searches_inside_a_text(viewer: Client, query: dict[str, str]) -> None:
    make_delivery()
    with CaptureQueriesContext(connection) as queries:
        viewer.get(url("deliveryresult_changelist"), query)
    of_the_log = [q["sql"] for q in queries if "deliveryresult" in q["sql"]]
    assert of_the_log
    assert not any("COUNT(" in sql or "OFFSET" in sql or "LIKE '%" in sql for sql in of_the_log)


def test_a_page_takes_few_queries_whatever_it_holds(viewer: Client, django_assert_max_num_queries: Any) -> None:
    for _ in range(30):
        make_delivery()
    with django_assert_max_num_queries(18):
        viewer.get(url("deliveryresult_changelist"))


def test_tokens_are_masked_on_the_list_and_on_the_page(viewer: Client) -> None:
    row = make_delivery()
    for address in (url("deliveryresult_changelist"), url("deliveryresult_change", row.pk)):
        page = viewer.get(address).content.decode()
        assert row.token not in page
        assert row.masked_token in page


def test_a_row_outlives_its_push(viewer: Client) -> None:
    row = make_delivery()
    row.record.delete()
    assert shown(viewer) == {row.pk}
    assert viewer.get(url("deliveryresult_change", row.pk)).status_code == 200


def test_nothing_in_the_log_can_be_changed(administrator: Client) -> None:
    row = make_delivery()
    assert administrator.post(url("deliveryresult_change", row.pk), {"status": "accepted"}).status_code == 403
    assert administrator.post(url("deliveryresult_delete", row.pk), {"post": "yes"}).status_code == 403
    assert administrator.get(url("deliveryresult_add")).status_code == 403


def test_an_empty_log_says_what_it_is_for(viewer: Client) -> None:
    page = viewer.get(url("deliveryresult_changelist")).content.decode()
    assert "No deliveries here" in page
