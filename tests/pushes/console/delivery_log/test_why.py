import pytest
from django.test import Client

from pushes.names import Reason, Status
from tests.make import make_delivery, make_record
from tests.pushes.console.conftest import url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def test_the_page_begins_as_an_empty_form(viewer: Client) -> None:
    page = viewer.get(url("deliveryresult_why_page")).content.decode()
    assert 'name="account"' in page
    assert "console-timeline" not in page


def test_the_answer_stands_in_one_sentence_with_its_steps(viewer: Client) -> None:
    record = make_record(message_id="order-7", accounts=["100007"])
    make_delivery(record, account_id="100007", token="", status=Status.SKIPPED, reason=Reason.ONLINE)
    page = viewer.get(url("deliveryresult_why_page"), {"account": "100007", "message": "order-7"}).content.decode()
    assert "online: shown in the app instead" in page
    assert "Received from test" in page


def test_what_never_came_is_said(viewer: Client) -> None:
    page = viewer.get(url("deliveryresult_why_page"), {"account": "1", "message": "nothing"}).content.decode()
    assert "No push with this ID was ever received." in page


def test_what_is_meant_for_others_is_said_in_words(viewer: Client) -> None:
    make_record(message_id="order-7", accounts=["8"])
    page = viewer.get(url("deliveryresult_why_page"), {"account": "7", "message": "order-7"}).content.decode()
    assert "not addressed to this account" in page
    assert "not_addressed" not in page


def test_a_missing_half_of_the_question_is_asked_for(viewer: Client) -> None:
    page = viewer.get(url("deliveryresult_why_page"), {"account": "1", "message": ""}).content.decode()
    assert "Enter a message or a time." in page


def test_the_same_as_json(viewer: Client) -> None:
    record = make_record(message_id="order-7", accounts=["1"])
    make_delivery(record, account_id="1")
    query = {"account": "1", "message": "order-7", "format": "json"}
    assert viewer.get(url("deliveryresult_why_page"), query).json()["outcome"] == "accepted"


def test_half_a_question_is_an_error_in_json(viewer: Client) -> None:
    answer = viewer.get(url("deliveryresult_why_page"), {"account": "1", "format": "json"})
    assert answer.status_code == 422


def test_every_row_of_the_log_leads_to_its_answer(viewer: Client) -> None:
    row = make_delivery(account_id="100007")
    page = viewer.get(url("deliveryresult_changelist")).content.decode()
    assert f"why/?account=100007&amp;message=%23{row.record_id}" in page
