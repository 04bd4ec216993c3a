import phpserialize
import pytest

from pushes import submit
from pushes.inbound import dead_letters
from pushes.inbound.intake import store
from pushes.inbound.raw_list import Batch
from pushes.models import DeadLetter, PushRecord
from pushes.text import notes
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def order(**fields: object) -> bytes:
    return bytes(phpserialize.dumps({"to_id": "7", "app": "higo", "message": "hello"} | fields))


BAD = Note(Sentence.NOT_PHP, at=0)


def make_letter(raw: bytes = b"bad", source: str = "intake") -> DeadLetter:
    submit.dead_letter(source, f"position {DeadLetter.objects.count()}", raw, "malformed", BAD)
    return DeadLetter.objects.latest("id")


def test_what_can_be_read_now_becomes_a_push():
    letter = make_letter(order(message="late"))
    assert dead_letters.replay([letter.pk], by="anna").accepted == 1
    letter.refresh_from_db()
    assert PushRecord.objects.get().text == "late"
    assert letter.status == "replayed"
    assert notes.read(letter.detail) == [BAD, Note(Sentence.REPLAYED, who="anna")]
    assert letter.resolved_at


def test_a_second_click_is_harmless():
    letter = make_letter(order())
    dead_letters.replay([letter.pk], by="anna")
    assert dead_letters.replay([letter.pk], by="anna").skipped == 1
    assert PushRecord.objects.count() == 1


def test_even_a_letter_made_new_again_is_one_push():
    letter = make_letter(order())
    dead_letters.replay([letter.pk], by="anna")
    DeadLetter.objects.update(status="new")
    assert dead_letters.replay([letter.pk], by="anna").duplicates == 1
    assert PushRecord.objects.count() == 1


def test_what_its_producer_has_sent_again_meanwhile_is_a_duplicate():
    letter = make_letter(order(msg_id="m", app="x"))
    store(Batch("batch", [order(msg_id="m")]))
    counts = dead_letters.replay([letter.pk], by="anna", edited={letter.pk: order(msg_id="m")})
    assert (counts.accepted, counts.duplicates) == (0, 1)


def test_a_correction_is_used_and_the_original_kept():
    letter = make_letter(b"bad")
    dead_letters.replay([letter.pk], by="anna", edited={letter.pk: order(message="corrected")})
    letter.refresh_from_db()
    assert (PushRecord.objects.get().text, bytes(letter.raw)) == ("corrected", b"bad")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [(b"bad", "malformed"), (order(type=2), "unknown_type"), (order(data={"x": "\x01" * 12_000}), "invalid")],
)
def test_what_is_still_bad_says_why_and_stays_new(raw: bytes, reason: str):
    letter, good = make_letter(raw), make_letter(order())
    found = dead_letters.problem(letter, None)
    assert found
    assert found.reason == reason
    counts = dead_letters.replay([letter.pk, good.pk], by="anna")
    assert [(item.dead_letter_id, item.reason) for item in counts.still_bad] == [(letter.pk, reason)]
    letter.refresh_from_db()
    assert (counts.accepted, letter.status) == (1, "new")


def test_what_is_no_producers_order_is_not_read_as_one():
    letter = make_letter(order(), source="group")
    assert dead_letters.replay([letter.pk], by="anna").still_bad[0].reason == "not_replayable"
    assert not PushRecord.objects.exists()


def test_an_unknown_id_is_skipped():
    assert dead_letters.replay([999], by="anna").skipped == 1


def test_a_discarded_letter_keeps_its_bytes_and_cannot_be_replayed():
    letter = make_letter(order())
    assert dead_letters.discard([letter.pk], by="anna") == 1
    assert dead_letters.discard([letter.pk], by="anna") == 0
    assert dead_letters.replay([letter.pk], by="anna").skipped == 1
    letter.refresh_from_db()
    assert (letter.status, bytes(letter.raw)) == ("discarded", order())


def test_a_long_detail_leaves_room_for_who():
    letter = make_letter(order())
    DeadLetter.objects.update(detail="x" * 300)
    dead_letters.discard([letter.pk], by="a" * 200)
    letter.refresh_from_db()
    assert len(letter.detail) <= 300
    assert notes.english(letter.detail).startswith("x" * 99)
    assert notes.english(letter.detail).endswith(f"x… (discarded by {'a' * 80})")
