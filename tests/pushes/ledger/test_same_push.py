"""The same push again, or another one under a used id: in the raw list, in replays, and when somebody asks why."""

from typing import Any

import phpserialize
import pytest
from django.core.management import call_command

from pushes.history.timeline import timeline
from pushes.inbound import dead_letters
from pushes.inbound.intake import store
from pushes.inbound.raw_list import Batch
from pushes.ledger import same_push
from pushes.ledger.same_push import Conflict
from pushes.models import DeadLetter, PushRecord
from pushes.submit import Stored, submit
from pushes.text import notes
from pushes.text.sentences import Sentence
from tests.pushes.rows import make_message

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

BUYER = {"to_id": "7", "app": "higo", "message": "您已付款", "type": 8, "msg_id": "order-77", "via": "android"}
SELLER = BUYER | {"to_id": "8", "app": "higirl", "message": "买家已付款"}


def order(fields: dict[str, Any]) -> bytes:
    return bytes(phpserialize.dumps(fields))


def hand_over(*orders: dict[str, Any], batch: str = "batch") -> Any:
    return store(Batch(batch, [order(fields) for fields in orders]))


def test_buyers_and_sellers_message_of_one_order_are_told_apart():
    counts = hand_over(BUYER, SELLER)
    letter = DeadLetter.objects.get()
    assert (counts.accepted, counts.duplicates, counts.refused) == (1, 0, {"conflict": 1})
    assert (letter.reason, bytes(letter.raw)) == ("conflict", order(SELLER))
    assert notes.english(letter.detail) == (
        f"msg_id 'order-77' names push #{PushRecord.objects.get().pk} already, which differs in app, to_id, message"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"via": "iphone"},
        {"via": None},
        {"to_id": ["7", "9"]},
        {"message": "x"},
        {"title": "x"},
        {"type": 9},
        {"data": {"a": 1}},
        {"app": "higirl"},
        {"image": "https://img.example.com/1.jpg"},
        {"badge": 0},
    ],
)
@pytest.mark.parametrize("batch", ["batch", "later"])
def test_whatever_differs_it_is_another_push(other: dict[str, Any], batch: str):
    hand_over(BUYER)
    assert hand_over(BUYER | other, batch=batch).refused == {"conflict": 1}


@pytest.mark.parametrize(
    "again",
    [
        {},
        {"type": "8"},
        {"to_id": 7},
        {"to_id": ["7", "7", ""]},
        {"via": "Android"},
        {"data": []},
        {"ttl": 60},
        {"title": None},
        {"unknown": "field"},
        {"message": " 您已付款 "},
    ],
)
def test_the_same_push_written_otherwise_is_a_duplicate(again: dict[str, Any]):
    hand_over(BUYER)
    counts = hand_over(BUYER | again, batch="later")
    assert (counts.accepted, counts.duplicates, counts.refused.total()) == (0, 1, 0)


def test_true_and_one_are_not_the_same_data():
    hand_over(BUYER | {"data": {"paid": True}})
    assert hand_over(BUYER | {"data": {"paid": 1}}, batch="later").refused == {"conflict": 1}


def test_storing_the_batch_again_after_a_crash_changes_nothing():
    for _ in range(2):
        hand_over(BUYER, SELLER, BUYER)
    assert (PushRecord.objects.count(), DeadLetter.objects.count()) == (1, 1)


@pytest.mark.parametrize("none", [0, "0", "", None, False, " "])
def test_without_an_id_that_names_something_each_is_a_push_of_its_own(none: Any):
    assert hand_over(BUYER | {"msg_id": none}, SELLER | {"msg_id": none}, BUYER | {"msg_id": none}).accepted == 3


def test_once_the_first_push_is_no_longer_kept_the_id_is_free():
    hand_over(BUYER, SELLER)
    PushRecord.objects.all().delete()
    letter = DeadLetter.objects.get()
    assert dead_letters.problem(letter, None) is None
    assert dead_letters.replay([letter.pk], by="anna").accepted == 1


def test_a_replay_under_the_used_id_stays_refused_and_under_another_goes():
    hand_over(BUYER, SELLER)
    letter = DeadLetter.objects.get()
    counts = dead_letters.replay([letter.pk], by="anna")
    assert [bad.reason for bad in counts.still_bad] == ["conflict"]
    assert counts.still_bad[0].detail.code is Sentence.ID_TAKEN
    letter.refresh_from_db()
    assert letter.status == "new"
    corrected = order(SELLER | {"msg_id": "order-77-seller"})
    assert dead_letters.problem(letter, corrected) is None
    assert dead_letters.replay([letter.pk], by="anna", edited={letter.pk: corrected}).accepted == 1
    assert set(PushRecord.objects.values_list("message_id", "app")) == {
        ("order-77", "higo"),
        ("order-77-seller", "higirl"),
    }


def test_a_replay_of_what_came_again_meanwhile_is_a_duplicate():
    hand_over(BUYER | {"app": "x"})
    hand_over(BUYER, batch="later")
    letter = DeadLetter.objects.get()
    assert dead_letters.replay([letter.pk], by="anna", edited={letter.pk: order(BUYER)}).duplicates == 1


def test_why_not_tells_the_seller_of_the_conflict(capsys: pytest.CaptureFixture[str]):
    hand_over(BUYER, SELLER)
    found = timeline("8", "order-77")
    assert found.outcome == "conflict"
    assert "Another push with this ID was received and not sent: msg_id 'order-77' names push #" in found.summary
    assert "Give the dead letter a msg_id of its own" in found.next_step
    call_command("whynot", "8", "order-77")
    assert capsys.readouterr().out.startswith("order-77 for 8: conflict\n")


def test_why_not_tells_the_buyer_of_his_own_push_and_nothing_of_the_sellers():
    hand_over(BUYER, SELLER)
    found = timeline("7", "order-77")
    assert (found.outcome, [step.code for step in found.steps if step.code == "conflict"]) == ("waiting", [])


def test_why_not_tells_of_both_where_both_were_for_the_same_account():
    hand_over(BUYER, BUYER | {"via": "iphone"})
    found = timeline("7", "order-77")
    assert found.outcome == "waiting"
    assert [step.reason for step in found.steps if step.code == "conflict"] == ["conflict"]


def test_why_not_of_a_longer_id_is_not_meant():
    hand_over(BUYER | {"msg_id": "order-7"}, BUYER, SELLER)
    assert timeline("8", "order-7").outcome == "not_addressed"


def test_a_chat_message_that_was_edited_is_the_same_push():
    first = submit([make_message(identity="a", text="old")])
    again = submit([make_message(identity="a", text="new")])
    assert again.results == [Stored(first.record_ids[0], is_new=False)]


def test_only_what_collided_is_read_again(django_assert_max_num_queries: Any):
    old = [make_message(identity=str(number)) for number in range(500)]
    submit(old)
    with django_assert_max_num_queries(6):
        submit([make_message() for _ in range(500)], tells_conflicts=True)
    with django_assert_max_num_queries(7):
        result = submit(old, tells_conflicts=True)
    assert result.duplicates == 500


def test_in_one_batch_each_message_has_its_answer():
    one = make_message(identity="a", text="one")
    other = make_message(identity="a", text="two")
    result = submit([one, other, one, make_message()], tells_conflicts=True)
    first, last = PushRecord.objects.order_by("id").values_list("id", flat=True)
    conflict = Conflict(first, ("message",))
    assert result.results == [Stored(first, True), conflict, Stored(first, False), Stored(last, True)]
    assert (result.accepted, result.duplicates) == (2, 1)
    assert conflict.note("It") == f"It names push #{first} already, which differs in message"


def test_a_message_compares_with_its_own_record_as_the_same():
    message = make_message(
        "b", "a", title="标题", data={"b": [1, 2.5, None, {"x": "é"}], "a": True, "f": 1e25}, identity="i"
    )
    submit([message])
    [stored] = same_push.recorded([message.dedupe_key]).values()
    assert same_push.conflict(message, stored) is None
