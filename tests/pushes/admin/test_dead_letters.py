import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from pushes.admin import letter_actions
from pushes.admin.raw_bytes import MOST_SHOWN, readable
from pushes.models import DeadLetter, PushRecord
from pushes.names import DeadLetterStatus
from tests.make import make_dead_letter
from tests.pushes.admin.conftest import url

pytestmark = pytest.mark.django_db


def test_letters_are_grouped_by_reason(viewer: Client) -> None:
    for reason in ("truncated", "truncated", "object"):
        make_dead_letter(reason=reason)
    make_dead_letter(reason="object", status=DeadLetterStatus.DISCARDED)
    assert viewer.get(url("deadletter_changelist")).context["groups"] == [
        ("truncated", "cut off before its end", "2"),
        ("object", "a PHP object, which is never read", "1"),
    ]


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
    shown = readable(b"x" * (MOST_SHOWN + 1))
    assert (shown.size, len(shown.text), shown.is_cut) == (MOST_SHOWN + 1, MOST_SHOWN, True)


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
    assert "It still cannot be read" in page.content.decode()
    assert page.context["form"]["text"].value() == '{"type": 99}'
    assert letter.status == DeadLetterStatus.NEW


@pytest.mark.parametrize(
    ("raw", "start"), [(b"broken", "broken"), (b"\xff", ""), (b'a:1:{s:1:"k";i:1;}', '{\n  "k": 1\n}')]
)
def test_correcting_starts_from_what_can_be_shown(raw: bytes, start: str) -> None:
    assert letter_actions.editable(DeadLetter(raw=raw)) == start


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
    assert "2 pushed, 0 received before, 0 no longer new." in answer.content.decode()
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
