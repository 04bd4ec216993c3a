import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone

from pushes.broadcasts import canary, lifecycle, watch
from pushes.console.broadcasts import progress
from pushes.console.site import account_list
from pushes.console.site.account_list import MAX_ACCOUNTS
from pushes.models import Broadcast, OperatorPreferences, PushRecord
from pushes.names import App, BroadcastStatus, Status
from pushes.people import tags
from pushes.text import notes
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from tests import djangos_words
from tests.make import make_account, make_app_key, make_broadcast, make_delivery, make_device, make_record
from tests.pushes.console.conftest import SignIn, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def filled(**fields: Any) -> dict[str, Any]:
    return {
        "title": "Sale",
        "text": "Everything 30 % off",
        "app": "higo",
        "platform": "",
        "audience_kind": "app",
        "tag": "",
        "window_policy": "",
        "canary_percent": "",
        "push_type": "55",
        "data": "{}",
        "accounts_typed": "",
        "scheduled_at_0": "",
        "scheduled_at_1": "",
        "expires_at_0": "",
        "expires_at_1": "",
    } | fields


def compose(client: Client, **fields: Any) -> str:
    return client.post(url("broadcast_add"), filled(**fields), follow=True).content.decode()


def sending(**fields: Any) -> Broadcast:
    broadcast = make_broadcast(**fields)
    return lifecycle.launch(broadcast.pk)


def test_a_saved_broadcast_is_a_draft_of_its_author(operator: Client) -> None:
    compose(operator)
    broadcast = Broadcast.objects.get()
    assert broadcast.status == BroadcastStatus.DRAFT
    assert str(broadcast.created_by).startswith("operator")


def test_save_and_review_leads_to_the_estimate(operator: Client) -> None:
    make_app_key()
    make_device()
    make_device(app=App.HIGIRL)
    assert "Send to 1 device now" in compose(operator, _review="1")


def test_the_review_warns_when_nobody_would_get_it(operator: Client) -> None:
    assert "no active device matches" in compose(operator, _review="1")


def test_the_review_warns_when_there_is_no_key(operator: Client) -> None:
    make_device()
    assert "No app key is enabled" in compose(operator, _review="1")


def test_the_review_warns_of_a_paused_key(operator: Client) -> None:
    make_device()
    make_app_key(paused_at=timezone.now())
    assert "is paused" in compose(operator, _review="1")


def test_looking_at_the_review_sends_nothing(operator: Client) -> None:
    broadcast = make_broadcast()
    operator.get(url("broadcast_send_page", broadcast.pk))
    broadcast.refresh_from_db()
    assert broadcast.status == BroadcastStatus.DRAFT


def test_sending_twice_makes_one_push(operator: Client) -> None:
    make_device()
    broadcast = make_broadcast()
    for _ in range(2):
        operator.post(url("broadcast_send_page", broadcast.pk))
    broadcast.refresh_from_db()
    assert broadcast.status == BroadcastStatus.SENDING
    assert PushRecord.objects.count() == 1


def test_a_reloaded_review_of_a_sent_broadcast_says_so(operator: Client) -> None:
    broadcast = sending()
    page = operator.post(url("broadcast_send_page", broadcast.pk), follow=True)
    assert "already launched" in page.content.decode()


def test_a_scheduled_broadcast_waits(operator: Client) -> None:
    broadcast = make_broadcast(scheduled_at=timezone.now() + timedelta(hours=1))
    operator.post(url("broadcast_send_page", broadcast.pk))
    broadcast.refresh_from_db()
    assert broadcast.status == BroadcastStatus.SCHEDULED


def test_it_is_paused_resumed_and_cancelled(operator: Client) -> None:
    broadcast = sending()
    for step, state in (("pause", "paused"), ("resume", "sending"), ("cancel", "cancelled")):
        operator.post(url(f"broadcast_{step}_page", broadcast.pk))
        broadcast.refresh_from_db()
        assert broadcast.status == state


def test_what_is_over_cannot_be_cancelled_again(operator: Client) -> None:
    broadcast = make_broadcast(status=BroadcastStatus.FINISHED)
    page = operator.post(url("broadcast_cancel_page", broadcast.pk), follow=True)
    assert "Nothing was changed" in page.content.decode()


def test_the_progress_page_counts_by_status_and_links_the_log(viewer: Client) -> None:
    broadcast = sending()
    record = PushRecord.objects.get()
    make_delivery(record)
    make_delivery(record, status=Status.FAILED)
    page = viewer.get(url("broadcast_progress_page", broadcast.pk)).content.decode()
    assert "accepted by the provider" in page
    assert f"broadcast={broadcast.pk}&amp;status__exact=failed" in page


def test_the_figures_alone_are_for_the_page_itself(viewer: Client) -> None:
    broadcast = sending()
    answer = viewer.get(url("broadcast_progress_page", broadcast.pk), {"part": "sending"})
    assert "<html" not in answer.content.decode()
    assert "HX-Refresh" not in answer


def test_the_figures_have_the_page_asked_again_when_the_state_has_changed(viewer: Client) -> None:
    broadcast = sending()
    answer = viewer.get(url("broadcast_progress_page", broadcast.pk), {"part": "paused"})
    assert answer["HX-Refresh"] == "true"


def test_a_list_of_accounts_may_be_typed(operator: Client) -> None:
    compose(operator, audience_kind="accounts", accounts_typed="a1, a2\na3 a1")
    assert Broadcast.objects.get().accounts == ["a1", "a2", "a3"]


def test_a_list_of_accounts_may_be_uploaded(operator: Client) -> None:
    file = SimpleUploadedFile("a.csv", "account_id,name\n101,小王\n102,小李\n".encode("gb18030"))
    compose(operator, audience_kind="accounts", accounts_file=file)
    assert Broadcast.objects.get().accounts == ["101", "102"]


def test_a_bad_line_is_named_and_nothing_is_stored(operator: Client) -> None:
    page = compose(operator, audience_kind="accounts", accounts_typed=f"a1\n{'x' * 65}")
    assert "line 2: longer than 64 characters" in page
    assert not Broadcast.objects.exists()


def test_an_empty_list_of_accounts_is_refused(operator: Client) -> None:
    assert "Enter account IDs" in compose(operator, audience_kind="accounts")


def test_editing_keeps_a_list_too_long_to_show(operator: Client) -> None:
    ids = [f"a{n}" for n in range(2_500)]
    broadcast = make_broadcast(audience_kind="accounts", accounts=ids)
    page = operator.get(url("broadcast_change", broadcast.pk)).content.decode()
    operator.post(url("broadcast_change", broadcast.pk), filled(audience_kind="accounts", title="Other"))
    broadcast.refresh_from_db()
    assert "2500 accounts are saved" in page
    assert (broadcast.title, broadcast.accounts) == ("Other", ids)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"text": "字" * 1400}, "4204 bytes"),
        ({"data": "[1]"}, "Enter a JSON object"),
        ({"data": "{"}, djangos_words.NOT_JSON),
        ({"data": '{"x": NaN}'}, djangos_words.NOT_JSON),
        ({"data": '{"x": 1e400}'}, djangos_words.NOT_JSON),
        ({"data": '{"x": "\\ud800"}'}, djangos_words.NOT_JSON),
        ({"data": "[" * 5_000 + "]" * 5_000}, djangos_words.NOT_JSON),
        ({"scheduled_at_0": "2020-01-01", "scheduled_at_1": "08:00"}, "This time has passed"),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "08:00"}, "expire before it is sent"),
        ({"expires_at_0": "2099-01-01", "expires_at_1": "08:00"}, "pushes are not kept longer"),
        ({"title": ""}, djangos_words.REQUIRED),
        ({"title": "\u200b\u3164"}, djangos_words.REQUIRED),
        ({"text": "\u2800\u202e"}, djangos_words.REQUIRED),
        ({"audience_kind": "tag"}, "Enter the tag"),
        ({"audience_kind": "tag", "tag": "v!p"}, "“v!p” is not a valid tag"),
        ({"canary_percent": "51"}, djangos_words.TOO_LARGE % {"limit_value": 50}),
        ({"window_policy": "later"}, djangos_words.NOT_A_CHOICE),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_reason(
    operator: Client, fields: dict[str, Any], complaint: str
) -> None:
    assert complaint in compose(operator, **fields)
    assert not Broadcast.objects.exists()


def test_a_number_of_more_than_64_bits_is_kept_digit_by_digit(operator: Client) -> None:
    compose(operator, data='{"trade_no": 2026112722001412345678901234, "small": 9007199254740993}')
    broadcast = Broadcast.objects.get()
    assert broadcast.data == {"trade_no": "2026112722001412345678901234", "small": 9007199254740993}
    assert "2026112722001412345678901234" in operator.get(url("broadcast_change", broadcast.pk)).content.decode()


def test_a_copy_is_a_filled_form_and_no_row(operator: Client) -> None:
    broadcast = sending(title="Spring", accounts=["7"], audience_kind="accounts")
    page = operator.get(url("broadcast_copy_page", broadcast.pk), follow=True).content.decode()
    assert 'value="Spring"' in page
    assert Broadcast.objects.count() == 1


def test_what_was_sent_can_no_longer_be_edited(operator: Client) -> None:
    broadcast = sending()
    assert operator.post(url("broadcast_change", broadcast.pk), filled(title="Other")).status_code == 403
    assert operator.post(url("broadcast_delete", broadcast.pk), {"post": "yes"}).status_code == 403


def test_a_draft_may_be_deleted(operator: Client) -> None:
    broadcast = make_broadcast()
    operator.post(url("broadcast_delete", broadcast.pk), {"post": "yes"})
    assert not Broadcast.objects.exists()


def test_a_viewer_sees_progress_but_sends_nothing(viewer: Client) -> None:
    broadcast = make_broadcast()
    assert viewer.get(url("broadcast_progress_page", broadcast.pk)).status_code == 200
    assert viewer.post(url("broadcast_send_page", broadcast.pk)).status_code == 403
    assert viewer.post(url("broadcast_add"), filled()).status_code == 403


def test_results_lead_to_the_log_of_this_broadcast(viewer: Client) -> None:
    broadcast = sending()
    mine, other = make_delivery(PushRecord.objects.get()), make_delivery(make_record())
    page = viewer.get(url("broadcast_deliveries_page", broadcast.pk), follow=True).content.decode()
    assert url("deliveryresult_change", mine.pk) in page
    assert url("deliveryresult_change", other.pk) not in page


def test_the_list_loads_no_account_lists(viewer: Client, django_assert_max_num_queries: Any) -> None:
    for _ in range(5):
        make_broadcast(audience_kind="accounts", accounts=["1"] * 1_000)
    with django_assert_max_num_queries(20) as queries:
        viewer.get(url("broadcast_changelist"))
    assert not any('"accounts"' in q["sql"] and "audience_kind" in q["sql"] for q in queries.captured_queries)


def test_an_unknown_broadcast_is_not_found(sign_in: SignIn) -> None:
    assert sign_in("operator").get(url("broadcast_send_page", 99)).status_code == 404


def test_an_audience_that_the_directory_cannot_list_is_refused_before_the_question(
    operator: Client, settings: Any
) -> None:
    settings.DIRECTORY = "pushes.people.sql_directory.SqlDirectory"
    assert "DIRECTORY_ALL_DEVICES_SQL is not set" in compose(operator, _review="1")
    assert Broadcast.objects.get().status == BroadcastStatus.DRAFT


def test_a_broadcast_that_cannot_be_sent_as_it_is_says_why(operator: Client) -> None:
    make_device()
    broadcast = make_broadcast(push_type=999)
    page = operator.post(url("broadcast_send_page", broadcast.pk), follow=True).content.decode()
    assert "is not a known push type" in page
    assert not PushRecord.objects.exists()


# --- tags, canary, delivery window ----------------------------------------------------------------


def test_a_broadcast_is_addressed_to_a_tag(operator: Client) -> None:
    tags.replace({make_device().pk: ["vip"]})
    make_device()
    page = compose(operator, audience_kind="tag", tag=" VIP ", _review="1")
    assert Broadcast.objects.get().tag == "vip"
    assert "“vip” in higo" in page
    assert "Send to 1 device now" in page


def test_a_tag_without_its_audience_is_not_kept(operator: Client) -> None:
    compose(operator, tag="vip")
    assert Broadcast.objects.get().tag == ""


def test_the_form_offers_the_tags_that_there_are(operator: Client) -> None:
    tags.replace({make_device().pk: ["vip"], make_device(app=App.HIGIRL).pk: ["shop"]})
    page = operator.get(url("broadcast_add")).content.decode()
    assert '<option value="shop"></option><option value="vip"></option>' in page


@pytest.mark.parametrize(
    ("percent", "words"),
    [("", "none: sent to everyone at once"), ("10", "30 devices (50 %) first; the rest follow automatically")],
)
def test_the_review_says_who_gets_it_first(operator: Client, percent: str, words: str) -> None:
    for _ in range(60):
        make_device()
    assert words in compose(operator, canary_percent=percent, _review="1")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "outside it: hold until the window opens"),
        ({}, "it waits until"),
        ({"window_policy": "send"}, "any time"),
        ({"window_policy": "drop"}, "and be dropped: no one would receive it"),
        ({"expires_at_0": "tomorrow", "expires_at_1": "00:00"}, "would expire before the delivery window opens"),
    ],
)
def test_the_review_says_what_the_delivery_window_does_to_it(
    operator: Client, settings: Any, fields: dict[str, Any], words: str
) -> None:
    now = timezone.localtime()
    opens, ends = now - timedelta(hours=2), now + timedelta(minutes=30)
    settings.DELIVERY_WINDOW = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"
    if "expires_at_0" in fields:
        fields = {"expires_at_0": f"{ends:%Y-%m-%d}", "expires_at_1": f"{ends:%H:%M}"}
    make_device(), make_app_key()
    assert words in compose(operator, **fields, _review="1")


def halted() -> Broadcast:
    broadcast = sending(canary_percent=50, title="Spring")
    for number in range(10):
        status = {"status": Status.FAILED, "reason": "bad_token"} if number < 6 else {"status": Status.ACCEPTED}
        make_delivery(PushRecord.objects.get(), **status)
    Broadcast.objects.update(canary_listed_at=timezone.now(), phase="canary")
    watch.judge_canaries()
    broadcast.refresh_from_db()
    assert broadcast.phase == "halted"
    return broadcast


def test_while_the_canary_is_out_the_progress_says_what_is_waited_for(viewer: Client) -> None:
    broadcast = sending(canary_percent=50)
    progress = url("broadcast_progress_page", broadcast.pk)
    Broadcast.objects.update(phase="canary")
    assert "Sending the canary." in viewer.get(progress).content.decode()
    make_delivery(PushRecord.objects.get(), status=Status.ACCEPTED)
    Broadcast.objects.update(canary_listed_at=timezone.now())
    page = viewer.get(progress).content.decode()
    assert "as soon as its results are in" in page
    assert "1 / 1" in page


def test_a_halted_one_says_why_on_its_page_in_the_list_and_on_the_overview(operator: Client) -> None:
    broadcast = halted()
    why = "6 of 10 canary tokens are invalid: 60.0 % (limit: 20 %)."
    assert why in operator.get(url("broadcast_progress_page", broadcast.pk)).content.decode()
    assert why in operator.get("/admin/").content.decode()
    assert "stopped automatically" in operator.get(url("broadcast_changelist")).content.decode()


@pytest.mark.parametrize(
    ("objection", "words"),
    [
        (("errors", 6, 60, 5.0), "6 of 60 canary results are failures: 10.0 % (limit: 5 %)."),
        (("silence", 1_234, 0, 0.0), "None of the 1,234 canary devices has returned a result."),
        (("errors", 6, 60, 5.0, 60), "6 of 60 results in the last 60 s are failures: 10.0 % (limit: 5 %)."),
        (
            ("bad_tokens", 30, 60, 20.0, 60),
            "30 of 60 tokens in the last 60 s are invalid: 50.0 % (limit: 20 %).",
        ),
    ],
)
def test_every_objection_has_its_words(viewer: Client, objection: tuple[Any, ...], words: str) -> None:
    broadcast = halted()
    Broadcast.objects.update(objection=canary.Objection(*objection)._asdict())
    assert words in viewer.get(url("broadcast_progress_page", broadcast.pk)).content.decode()


def test_who_stopped_it_is_told_in_the_readers_language(viewer: Client) -> None:
    broadcast = halted()
    Broadcast.objects.update(objection={}, status_reason=notes.stored(Note(Sentence.PAUSED_BY, who="anna"), most=200))
    address = url("broadcast_progress_page", broadcast.pk)
    assert "paused by anna" in viewer.get(address).content.decode()
    assert "由 anna 暂停" in viewer.get(address, headers={"Accept-Language": "zh-hans"}).content.decode()


def test_an_objection_of_another_version_is_told_in_its_own_words_and_can_be_overruled(
    operator: Client, viewer: Client
) -> None:
    broadcast = halted()
    Broadcast.objects.update(objection={"why": "weather", "wind": 12}, status_reason="halted: too windy")
    assert "too windy" in viewer.get(url("broadcast_progress_page", broadcast.pk)).content.decode()
    assert "too windy" in viewer.get("/admin/").content.decode()
    question = operator.get(url("broadcast_go_on_page", broadcast.pk)).content.decode()
    seen = re.search(r'name="seen" value="([^"]*)"', question)
    assert seen
    operator.post(url("broadcast_go_on_page", broadcast.pk), {"seen": seen[1]})
    broadcast.refresh_from_db()
    assert (broadcast.status, broadcast.objection) == (BroadcastStatus.SENDING, {})


def test_a_halted_one_is_continued_after_a_question_only(operator: Client) -> None:
    broadcast = halted()
    question = operator.get(url("broadcast_go_on_page", broadcast.pk)).content.decode()
    assert "to everyone else anyway?" in question
    assert "6 of 10 canary tokens are invalid" in question
    operator.post(url("broadcast_resume_page", broadcast.pk))
    broadcast.refresh_from_db()
    assert broadcast.status == BroadcastStatus.PAUSED
    for _ in range(2):
        operator.post(url("broadcast_go_on_page", broadcast.pk))
    broadcast.refresh_from_db()
    assert (broadcast.status, broadcast.phase) == (BroadcastStatus.SENDING, "rest")
    [entry] = LogEntry.objects.all()
    assert "Continued after an automatic stop: 6 of 10 canary tokens" in entry.change_message


def test_one_that_halted_on_its_way_is_continued_by_somebody_who_has_read_why(operator: Client) -> None:
    broadcast = sending(canary_percent=0, title="Spring")
    record = PushRecord.objects.get()
    for number in range(60):
        status = {"status": Status.FAILED, "reason": "bad_payload"} if number % 2 else {"status": Status.ACCEPTED}
        make_delivery(record, **status)
    assert watch.watch() == 1
    why = "30 of 60 results in the last 60 s are failures: 50.0 % (limit: 5 %)."
    for address in (url("broadcast_progress_page", broadcast.pk), url("broadcast_go_on_page", broadcast.pk), "/admin/"):
        assert why in operator.get(address).content.decode()
    answer = operator.post(url("broadcast_go_on_page", broadcast.pk), {"seen": "any other reason"}, follow=True)
    assert "Someone changed this in the meantime" in answer.content.decode()
    operator.post(url("broadcast_go_on_page", broadcast.pk))
    broadcast.refresh_from_db()
    assert (broadcast.status, broadcast.phase) == (BroadcastStatus.SENDING, "")
    assert "stopped automatically" not in operator.get("/admin/").content.decode()


# --- both apps ------------------------------------------------------------------------------------


def test_one_broadcast_for_both_apps_shows_the_devices_of_each(operator: Client) -> None:
    make_app_key(), make_app_key(App.HIGIRL)
    make_device(), make_device(), make_device(app=App.HIGIRL)
    page = compose(operator, app="both", _review="1")
    assert "Send to 3 devices now" in page
    assert "Devices in higirl" in page
    assert "everyone in both apps" in page
    operator.post(url("broadcast_send_page", Broadcast.objects.get().pk))
    assert set(PushRecord.objects.values_list("app", flat=True)) == set(App)
    operator.post(url("broadcast_send_page", Broadcast.objects.get().pk))
    assert PushRecord.objects.count() == 2
    copied = operator.get(url("broadcast_copy_page", Broadcast.objects.get().pk), follow=True).content.decode()
    assert '<option value="both" selected>' in copied


def test_the_review_names_the_app_that_has_no_key(operator: Client) -> None:
    make_app_key()
    make_device(), make_device(app=App.HIGIRL)
    page = compose(operator, app="both", _review="1")
    assert "No app key is enabled for higirl: its devices would be skipped" in page


# --- lists that are too long ----------------------------------------------------------------------


def test_a_typed_list_that_is_too_long_is_refused_with_what_to_do(operator: Client) -> None:
    page = compose(operator, audience_kind="accounts", accounts_typed="100001\n" * 300_000)
    assert "The list is longer than 2 MB. Upload it as a CSV file." in page
    assert not Broadcast.objects.exists()


def test_what_is_too_large_for_any_form_gets_a_page_that_says_what_to_do(operator: Client) -> None:
    operator.raise_request_exception = False
    answer = operator.post(url("broadcast_add"), filled(accounts_typed="100001\n" * 400_000))
    assert answer.status_code == 400
    assert "as a CSV file instead of typing it" in answer.content.decode()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"1" * 15_000_001, "The file is 15.0 MB; at most 15 MB is allowed."),
        (b"PK\x03\x04 and so on", "Excel workbook"),
        (
            "\n".join(map(str, range(200_001))).encode(),
            "200001 accounts are too many: a broadcast can have at most 200000",
        ),
        (b"1\n" + b"x" * 140_000, "line"),
    ],
)
def test_files_that_cannot_be_taken_say_why(operator: Client, content: bytes, complaint: str) -> None:
    page = compose(operator, audience_kind="accounts", accounts_file=SimpleUploadedFile("a.csv", content))
    assert complaint in page
    assert not Broadcast.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("count", [200_000, 200_001])
@pytest.mark.parametrize("field", ["accounts_file", "accounts_typed"])
def test_a_list_is_read_before_a_transaction_begins(
    operator: Client, monkeypatch: pytest.MonkeyPatch, field: str, count: int
) -> None:
    """A server ends a transaction that does nothing for as long as reading may take."""
    read, in_transactions = account_list.AccountList, list[bool]()

    def noted(*listed: Any) -> account_list.AccountList:
        in_transactions.append(connection.in_atomic_block)
        return read(*listed)

    monkeypatch.setattr(account_list, "AccountList", noted)
    lines = "\n".join(map(str, range(count)))
    compose(
        operator,
        audience_kind="accounts",
        **{field: SimpleUploadedFile("a.csv", lines.encode()) if field == "accounts_file" else lines},
    )
    assert in_transactions == [False]
    assert [len(one.accounts) for one in Broadcast.objects.all()] == ([count] if count <= MAX_ACCOUNTS else [])


def test_once_it_is_cancelled_nothing_is_said_to_come(operator: Client) -> None:
    broadcast = halted()
    operator.post(url("broadcast_cancel_page", broadcast.pk))
    page = operator.get(url("broadcast_progress_page", broadcast.pk)).content.decode()
    assert "Sending the canary." not in page
    assert "as soon as its results are in" not in page
    assert "10 / 10" in page


def test_a_viewer_continues_nothing(viewer: Client) -> None:
    broadcast = halted()
    assert viewer.post(url("broadcast_go_on_page", broadcast.pk)).status_code == 403


# --- what was read is what is sent ----------------------------------------------------------------


def test_a_draft_that_changed_after_it_was_read_is_not_sent(operator: Client) -> None:
    make_device()
    broadcast = make_broadcast()
    page = operator.get(url("broadcast_send_page", broadcast.pk)).content.decode()
    seen = re.search(r'name="seen" value="(\w+)"', page)
    assert seen
    Broadcast.objects.update(text="Something else")
    answer = operator.post(url("broadcast_send_page", broadcast.pk), {"seen": seen[1]}, follow=True)
    assert "Someone changed this in the meantime. Nothing was done" in answer.content.decode()
    assert not PushRecord.objects.exists()
    Broadcast.objects.update(text=broadcast.text)
    operator.post(url("broadcast_send_page", broadcast.pk), {"seen": seen[1]})
    assert PushRecord.objects.count() == 1


def test_a_copy_takes_over_a_list_too_long_to_show(operator: Client) -> None:
    ids = [f"a{n}" for n in range(2_500)]
    original = make_broadcast(audience_kind="accounts", accounts=ids, tag="", canary_percent=7)
    page = operator.get(url("broadcast_copy_page", original.pk), follow=True).content.decode()
    assert "2500 accounts are saved" in page
    assert "a2499" not in page
    compose(operator, audience_kind="accounts", title="Copy", accounts_of=str(original.pk))
    assert Broadcast.objects.get(title="Copy").accounts == ids


def test_a_copy_of_nothing_is_refused(operator: Client) -> None:
    assert "Enter account IDs" in compose(operator, audience_kind="accounts", accounts_of="999")


def test_a_file_of_tens_of_thousands_of_lines_is_taken_whole_or_not_at_all(operator: Client) -> None:
    lines = [f"{100_000 + n}" for n in range(50_000)]
    compose(operator, audience_kind="accounts", accounts_file=SimpleUploadedFile("a.csv", "\n".join(lines).encode()))
    assert Broadcast.objects.get().accounts == lines
    lines[7] = lines[40_000] = "x" * 65
    page = compose(
        operator, audience_kind="accounts", accounts_file=SimpleUploadedFile("a.csv", "\n".join(lines).encode())
    )
    assert "line 8: longer" in page
    assert "line 40001: longer" in page
    assert Broadcast.objects.count() == 1


def test_a_file_that_is_no_csv_is_refused(operator: Client) -> None:
    file = SimpleUploadedFile("a.csv", b'1\n"' + b"x" * 200_000)
    assert "line 2: the file is not valid CSV" in compose(operator, audience_kind="accounts", accounts_file=file)
    assert not Broadcast.objects.exists()


def test_the_rate_is_that_of_the_last_seconds(viewer: Client) -> None:
    broadcast = sending()
    now = timezone.now()
    Broadcast.objects.update(started_at=now - timedelta(hours=1), estimate=300)
    for ended in (now - timedelta(minutes=30), now, now, now, now):
        make_delivery(PushRecord.objects.get(), finished_at=ended)
    broadcast.refresh_from_db()
    figures = progress.figures(broadcast)
    # The last 20 to 30 seconds, as the tallies are cut.
    assert figures.per_second is not None
    assert 4 / 30 <= figures.per_second <= 4 / 20
    assert figures.seconds_left == round(295 / figures.per_second)


@pytest.mark.parametrize("moment", ["2030-03-31 02:30", "2030-10-27 02:30"])
def test_an_hour_that_the_operator_s_clock_leaps_over_or_has_twice_is_refused(operator: Client, moment: str) -> None:
    OperatorPreferences.objects.create(user=User.objects.get(), time_zone="Europe/Berlin")
    day, clock = moment.split()
    assert "be interpreted in time zone Europe/Berlin" in compose(operator, scheduled_at_0=day, scheduled_at_1=clock)
    assert not Broadcast.objects.exists()


# --- what a review says of a list of accounts ---------------------------------------------------


def test_the_review_counts_known_unknown_and_repeated_accounts(operator: Client) -> None:
    make_app_key()
    for account_id in ("101", "102"):
        make_device(make_account(account_id))
    upload = SimpleUploadedFile("list.csv", "\ufeff序号,账号\n1,101\n2,102\n3,404\n4,101\n5,405\n".encode())
    page = compose(operator, audience_kind="accounts", accounts_file=upload, _review="1")
    said = re.findall(r"<dt>(Known accounts|Unknown accounts|Duplicates on the list)</dt><dd>(\d+)", page)
    assert said == [("Known accounts", "2"), ("Unknown accounts", "2"), ("Duplicates on the list", "1")]
    broadcast = Broadcast.objects.get()
    answer = operator.get(url("broadcast_unknown_page", broadcast.pk))
    assert answer.content.decode("utf-8-sig").split() == ["account_id", "404", "405"]
    assert url("broadcast_unknown_page", broadcast.pk) in page


def test_a_draft_that_is_saved_again_keeps_its_number_of_repetitions(operator: Client) -> None:
    compose(operator, audience_kind="accounts", accounts_typed="101 102 101")
    broadcast = Broadcast.objects.get()
    operator.post(url("broadcast_change", broadcast.pk), filled(audience_kind="accounts", accounts_typed="101\n102"))
    broadcast.refresh_from_db()
    assert (broadcast.accounts, broadcast.repeated) == (["101", "102"], 1)


def test_the_unknown_accounts_can_be_imported_as_a_list_again(operator: Client) -> None:
    broadcast = make_broadcast(audience_kind="accounts", accounts=["-404", "405"])
    content = operator.get(url("broadcast_unknown_page", broadcast.pk)).content
    assert account_list.parse_csv(account_list.decode(content)).ids == ["-404", "405"]


@pytest.mark.parametrize("content", ["手机号\n13800000001\n", "account_id\n1.00086E+15\n", "account_id\n101\n合计\n"])
def test_a_list_that_a_spreadsheet_has_spoilt_is_refused_with_what_to_do(operator: Client, content: str) -> None:
    upload = SimpleUploadedFile("list.csv", content.encode("gb18030"))
    page = compose(operator, audience_kind="accounts", accounts_file=upload)
    assert "Excel" in page or "account_id or 账号" in page
    assert not Broadcast.objects.exists()
