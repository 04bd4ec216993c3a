import json

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import translation
from django.utils.html import escape

from pushes.console.delivery_log import dead_letter_pages, dead_letter_reasons
from pushes.console.delivery_log.raw_bytes import MAX_SHOWN, beginning, readable
from pushes.inbound.intake import store
from pushes.inbound.raw_list import Batch
from pushes.models import DeadLetter, PushRecord
from pushes.names import DeadLetterStatus
from tests.make import make_dead_letter
from tests.pushes.console.conftest import url

pytestmark = pytest.mark.django_db


def test_letters_are_grouped_by_reason(viewer: Client) -> None:
    for reason in ("truncated", "truncated", "object"):
        make_dead_letter(reason=reason)
    make_dead_letter(reason="object", status=DeadLetterStatus.DISCARDED)
    assert viewer.get(url("deadletter_changelist")).context["groups"] == [
        ("truncated", "truncated", "2"),
        ("object", "PHP object (not accepted)", "1"),
    ]


def test_each_reader_has_a_reason_in_the_language_of_the_page() -> None:
    with translation.override("en"):
        assert dead_letter_reasons.words("empty") == "empty message"
    with translation.override("zh-hans"):
        assert dead_letter_reasons.words("empty") == "消息为空"


def test_the_words_of_all_apps_are_gathered_once() -> None:
    gather = dead_letter_reasons._reasons
    gather.cache_clear()
    assert [dead_letter_reasons.words("bad_time") for _ in range(3)] == ["the creation time cannot be read"] * 3
    assert dead_letter_reasons.words("no_such_reason") == "no_such_reason"
    assert gather.cache_info().misses == 1


def test_each_reason_is_offered_once(viewer: Client) -> None:
    for status in (DeadLetterStatus.NEW, DeadLetterStatus.DISCARDED):
        make_dead_letter(reason="object", status=status)
    page = viewer.get(url("deadletter_changelist")).content.decode()
    assert page.count('<option value="object"') == 1


def test_letters_are_filtered_by_reason_and_status(viewer: Client) -> None:
    letter = make_dead_letter(reason="object")
    make_dead_letter(reason="truncated")
    answer = viewer.get(url("deadletter_changelist"), {"reason": "object", "status__exact": "new"})
    assert [row.pk for row in answer.context["cl"].result_list] == [letter.pk]


def test_a_letter_is_found_by_its_position(viewer: Client) -> None:
    letter = make_dead_letter(position="batch-9:3")
    make_dead_letter()
    answer = viewer.get(url("deadletter_changelist"), {"q": "batch-9:3"})
    assert [row.pk for row in answer.context["cl"].result_list] == [letter.pk]


def test_a_letter_shows_what_it_holds(viewer: Client) -> None:
    letter = make_dead_letter('{"message": "新订单"}'.encode())
    page = viewer.get(url("deadletter_change", letter.pk)).content.decode()
    assert "新订单" in page
    assert "JSON" in page


def test_markup_in_a_letter_stays_text(viewer: Client) -> None:
    letter = make_dead_letter(b"<script>alert(1)</script>")
    page = viewer.get(url("deadletter_change", letter.pk)).content.decode()
    assert "<script>alert(1)" not in page


def test_php_is_shown_as_the_value_it_holds() -> None:
    shown = readable(b'a:1:{s:4:"type";i:5;}')
    assert (shown.format, shown.value) == ("PHP serialize()", '{\n  "type": 5\n}')


def test_what_cannot_be_read_says_where() -> None:
    shown = readable(b'a:1:{s:4:"type";i:')
    assert shown.format.startswith("unreadable: ")
    assert shown.value == ""


def test_bytes_that_are_no_text_are_shown_as_numbers() -> None:
    shown = readable(b"\xff\x00a\n\xe6\x96\xb0")
    assert shown.text == "\\xff\\x00a\n新"
    assert shown.dump.startswith("000000  ff 00 61 0a e6 96 b0  ")
    assert shown.dump.endswith("  ..a....")


def test_only_the_beginning_of_much_is_shown() -> None:
    shown = readable(b"x" * (MAX_SHOWN + 1))
    assert (shown.size, len(shown.text), shown.is_cut) == (MAX_SHOWN + 1, MAX_SHOWN, True)


GOOD = b'{"type": 5, "to_id": "1", "app": "higo", "message": "hello"}'


def intake_letter(raw: bytes = GOOD, **fields: object) -> DeadLetter:
    return make_dead_letter(raw, source="intake", **fields)


def test_a_letter_that_can_be_read_now_is_replayed(operator: Client, redis_client: object) -> None:
    letter = intake_letter()
    start = operator.get(url("deadletter_replay_page", letter.pk)).context["form"]["text"].value()
    operator.post(url("deadletter_replay_page", letter.pk), {"text": start})
    letter.refresh_from_db()
    assert letter.status == DeadLetterStatus.REPLAYED
    assert PushRecord.objects.get().text == "hello"


def test_a_corrected_letter_is_replayed_and_keeps_its_bytes(operator: Client, redis_client: object) -> None:
    letter = intake_letter(b"broken")
    operator.post(url("deadletter_replay_page", letter.pk), {"text": GOOD.decode()})
    letter.refresh_from_db()
    assert (letter.status, bytes(letter.raw)) == (DeadLetterStatus.REPLAYED, b"broken")
    assert PushRecord.objects.count() == 1


def test_replaying_twice_pushes_once(operator: Client, redis_client: object) -> None:
    letter = intake_letter()
    for _ in range(2):
        page = operator.post(url("deadletter_replay_page", letter.pk), {"text": GOOD.decode()}, follow=True)
    assert "no longer new" in page.content.decode()
    assert PushRecord.objects.count() == 1


def test_a_letter_that_is_still_bad_stays_with_the_reason(operator: Client, redis_client: object) -> None:
    letter = intake_letter()
    page = operator.post(url("deadletter_replay_page", letter.pk), {"text": '{"type": 99}'})
    letter.refresh_from_db()
    assert page.status_code == 422
    assert "The message still cannot be read" in page.content.decode()
    assert page.context["form"]["text"].value() == '{"type": 99}'
    assert letter.status == DeadLetterStatus.NEW


FIRST = b'{"type": 5, "to_id": "1", "app": "higo", "message": "hello", "msg_id": "m-1"}'
OTHER = b'{"type": 5, "to_id": "2", "app": "higo", "message": "other", "msg_id": "m-1"}'


def conflicting_letter() -> DeadLetter:
    store(Batch("batch", [FIRST, OTHER]))
    return DeadLetter.objects.get()


def test_both_sides_of_a_conflict_stand_beside_each_other(viewer: Client, redis_client: object) -> None:
    letter = conflicting_letter()
    answer = viewer.get(url("deadletter_change", letter.pk))
    page, record = answer.content.decode(), PushRecord.objects.get()
    lines = {line.name: (line.waiting, line.recorded, line.differs) for line in answer.context["sides"].lines}
    assert lines["to_id"] == ("2", "1", True)
    assert lines["message"] == ("other", "hello", True)
    assert lines["app"] == ("higo", "higo", False)
    assert url("pushrecord_change", record.pk) in page
    assert "The two pushes with this msg_id" in page


def test_a_conflict_whose_push_is_gone_says_that_it_can_be_replayed(viewer: Client, redis_client: object) -> None:
    letter = conflicting_letter()
    PushRecord.objects.all().delete()
    assert "is no longer kept" in viewer.get(url("deadletter_change", letter.pk)).content.decode()


def test_other_letters_have_no_second_side(viewer: Client) -> None:
    for letter in (intake_letter(), intake_letter(b"broken", reason="conflict"), make_dead_letter(reason="conflict")):
        answer = viewer.get(url("deadletter_change", letter.pk))
        assert (answer.status_code, answer.context["sides"]) == (200, None)


def test_a_conflict_is_replayed_under_another_msg_id_only(operator: Client, redis_client: object) -> None:
    letter = conflicting_letter()
    start = operator.get(url("deadletter_replay_page", letter.pk)).context["form"]["text"].value()
    refused = operator.post(url("deadletter_replay_page", letter.pk), {"text": start})
    assert (refused.status_code, PushRecord.objects.count()) == (422, 1)
    assert "already has this msg_id: change or remove it." in refused.content.decode()
    operator.post(url("deadletter_replay_page", letter.pk), {"text": start.replace("m-1", "m-2")})
    letter.refresh_from_db()
    assert (letter.status, PushRecord.objects.count()) == (DeadLetterStatus.REPLAYED, 2)


def test_conflicts_among_many_are_told_apart_from_what_cannot_be_read(operator: Client, redis_client: object) -> None:
    letters = [conflicting_letter(), intake_letter(), intake_letter(b"broken")]
    page = operator.post(
        url("deadletter_changelist"), chosen("replay_selected", *letters, confirm="1"), follow=True
    ).content.decode()
    assert "1 pushed, 0 already received, 0 no longer new." in page
    assert "1 still cannot be read" in page
    assert "1 cannot be replayed: their msg_id is already in use" in page


def test_a_long_letter_is_corrected_as_a_whole() -> None:
    raw = b'{"message": "' + b"x" * 40_000 + b'", "no": 20261127220014123456789}'
    assert json.loads(dead_letter_pages.editable(DeadLetter(raw=raw))) == {
        "message": "x" * 40_000,
        "no": "20261127220014123456789",
    }


@pytest.mark.parametrize(
    ("raw", "start"), [(b"broken", "broken"), (b"\xff", ""), (b'a:1:{s:1:"k";i:1;}', '{\n  "k": 1\n}')]
)
def test_correcting_starts_from_what_can_be_shown(raw: bytes, start: str) -> None:
    assert dead_letter_pages.editable(DeadLetter(raw=raw)) == start


def test_a_letter_is_discarded_once(operator: Client) -> None:
    letter = intake_letter()
    operator.post(url("deadletter_discard_page", letter.pk))
    letter.refresh_from_db()
    assert letter.status == DeadLetterStatus.DISCARDED
    page = operator.post(url("deadletter_discard_page", letter.pk), follow=True)
    assert "no longer new" in page.content.decode()


def chosen(action: str, *letters: DeadLetter, **more: str) -> dict[str, object]:
    return {"action": action, "_selected_action": [letter.pk for letter in letters], **more}


@pytest.mark.parametrize("action", ["replay_selected", "discard_selected"])
def test_an_action_asks_before_it_does_anything(operator: Client, action: str) -> None:
    letter = intake_letter()
    page = operator.post(url("deadletter_changelist"), chosen(action, letter))
    letter.refresh_from_db()
    assert 'name="confirm"' in page.content.decode()
    assert letter.status == DeadLetterStatus.NEW


def test_many_letters_are_replayed_at_once(operator: Client, redis_client: object) -> None:
    letters = [intake_letter(), intake_letter(), intake_letter(b"broken")]
    answer = operator.post(url("deadletter_changelist"), chosen("replay_selected", *letters, confirm="1"), follow=True)
    assert "2 pushed, 0 already received, 0 no longer new." in answer.content.decode()
    assert "1 still cannot be read" in answer.content.decode()
    assert LogEntry.objects.count() == 2


def test_many_letters_are_discarded_at_once(operator: Client) -> None:
    letters = [intake_letter(), intake_letter()]
    operator.post(url("deadletter_changelist"), chosen("discard_selected", *letters, confirm="1"))
    assert set(DeadLetter.objects.values_list("status", flat=True)) == {"discarded"}
    assert LogEntry.objects.count() == 2


def test_a_viewer_gets_no_actions(viewer: Client) -> None:
    letter = intake_letter()
    viewer.post(url("deadletter_changelist"), chosen("discard_selected", letter, confirm="1"))
    letter.refresh_from_db()
    assert letter.status == DeadLetterStatus.NEW
    assert viewer.post(url("deadletter_discard_page", letter.pk)).status_code == 403


@pytest.mark.parametrize("most", range(1, 25))
def test_a_beginning_ends_between_characters(most: int) -> None:
    assert beginning("ab字👨\u200d👩\u200d👧订单订单".encode(), most).removesuffix("…") in ("", "a", "ab", "ab字")


def test_bytes_that_are_no_text_begin_all_the_same() -> None:
    assert beginning(b"\xff\xfeabc", 4) == "\\xff\\xfea…"
    assert beginning(b"abc", 3) == "abc"


def test_what_is_wrong_is_told_in_the_readers_language(viewer: Client, redis_client: object) -> None:
    store(Batch("b", [b'{"type": 5, "app": "fax", "to_id": 7, "message": "x"}']))
    address = url("deadletter_change", DeadLetter.objects.get().pk)
    assert "not a valid app; accepted: higo, higirl" in viewer.get(address).content.decode()
    page = viewer.get(address, headers={"Accept-Language": "zh-hans"}).content.decode()
    assert "不是有效的应用；可用：higo, higirl" in page
    assert "{&quot;note" not in page


def test_a_sentence_of_an_earlier_version_and_a_planted_note_are_shown_as_they_are(viewer: Client) -> None:
    for detail in ("byte 7 is no UTF-8", '{"note":"pwned","who":"x"}'):
        page = viewer.get(url("deadletter_change", make_dead_letter(detail=detail).pk)).content.decode()
        assert escape(detail) in page
