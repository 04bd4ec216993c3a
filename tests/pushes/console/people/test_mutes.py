"""Muting and blocking for one account, in the console."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from pytest_django import Settings

from pushes.models import Account
from pushes.people import mutes
from tests.make import make_account
from tests.pushes.console.conftest import url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def address() -> str:
    return url("account_preferences_page", "7")


def test_a_look_at_the_page_shows_the_lists_and_changes_nothing(operator: Client) -> None:
    make_account("7", muted_conversations=["group:1"], blocked_accounts=["12"])
    page = operator.get(address()).content.decode()
    assert "group:1" in page
    assert not LogEntry.objects.exists()


def test_a_conversation_is_muted_and_a_sender_blocked_with_a_trace(operator: Client) -> None:
    make_account("7", muted_conversations=["group:1"])
    operator.post(address(), {"muted": "group:2\nprivate:9:10\n", "blocked": " 12 "})
    account = Account.objects.get()
    assert (account.muted_conversations, account.blocked_accounts) == (["group:2", "private:10:9"], ["12"])
    message = LogEntry.objects.get().get_change_message()
    assert "no longer muted: group:1" in message
    assert "group:2, private:10:9" in message


def test_what_came_meanwhile_stays(operator: Client) -> None:
    make_account("7", muted_conversations=["group:1"])
    form = operator.get(address()).context["form"]
    assert form.initial["muted"] == "group:1"
    operator.post(address(), {"muted": "group:1\ngroup:2", "blocked": ""})
    assert Account.objects.get().muted_conversations == ["group:1", "group:2"]


def test_saving_twice_says_that_nothing_was_changed(operator: Client) -> None:
    make_account("7")
    for _ in range(2):
        answer = operator.post(address(), {"muted": "group:2", "blocked": ""}, follow=True)
    assert "Nothing was changed" in answer.content.decode()
    assert LogEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"muted": "group:1\nseven"}, "seven"),
        ({"blocked": "x" * 65}, "xxxx"),
        ({"muted": "group:1\n" * 2_001}, "2001 lines"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_stored(operator: Client, fields: dict[str, str], shown: str) -> None:
    make_account("7")
    answer = operator.post(address(), {"muted": "", "blocked": ""} | fields)
    assert answer.status_code == 422
    assert shown in answer.content.decode()
    assert Account.objects.get().muted_conversations == []


def test_a_long_list_is_named_in_short(operator: Client) -> None:
    make_account("7")
    operator.post(address(), {"muted": "\n".join(f"group:{n}" for n in range(9)), "blocked": ""})
    assert "group:4 and 4 more" in LogEntry.objects.get().get_change_message()


def test_a_list_that_is_full_by_then_is_refused(operator: Client) -> None:
    make_account("7", muted_conversations=[f"group:{n}" for n in range(1_999)])
    lines = "\n".join(f"group:{n}" for n in range(1_999))
    operator.get(address())
    Account.objects.update(muted_conversations=[f"group:{n}" for n in range(2_000)])
    # The operator's page still lacks group:1999, and adds two more.
    answer = operator.post(address(), {"muted": f"{lines}\ngroup:a", "blocked": ""}, follow=True)
    assert answer.status_code == 200
    assert len(Account.objects.get().muted_conversations) <= 2_000


def test_with_another_directory_the_page_says_that_it_does_not_count(operator: Client, settings: Settings) -> None:
    make_account("7")
    assert "DIRECTORY" not in operator.get(address()).content.decode()
    settings.DIRECTORY = "pushes.people.sql_directory.SqlDirectory"
    assert "DIRECTORY" in operator.get(address()).content.decode()


def test_a_viewer_may_neither_open_nor_send_the_page(viewer: Client) -> None:
    make_account("7")
    assert viewer.get(address()).status_code == 403
    assert viewer.post(address(), {"muted": "group:1"}).status_code == 403
    assert Account.objects.get().muted_conversations == []


def test_a_list_that_became_too_long_is_said_in_the_reader_s_language(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_account("7")

    def is_full(*_given: object) -> None:
        raise mutes.InvalidEntryError("2001 entries are too many; the maximum is 2000")

    monkeypatch.setattr(mutes, "change", is_full)
    answer = operator.post(
        address(), {"muted": "group:a", "blocked": ""}, follow=True, headers={"accept-language": "zh-hans"}
    )
    assert "没有修改：每个名单最多 2000 项。" in answer.content.decode()
