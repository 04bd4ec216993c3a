"""The steps of a scanner, on a real MongoDB."""

import time
from datetime import timedelta

import pytest
from django.db import DataError, OperationalError
from django.utils import timezone

from chatscan.models import ScannerPosition
from chatscan.mongo.chats import MissingIndexError
from chatscan.names import Refusal
from chatscan.scanning import watermarks
from pushes.models import DeadLetter, PushRecord
from pushes.storage import bulk, conflicts
from tests.chatscan.conftest import read_all, texts
from tests.chatscan.making import TIMES, group, group_document, private_document


def row(kind: str = "group") -> ScannerPosition:
    return ScannerPosition.objects.get(pk=kind)


# --- the first start ---------------------------------------------------------------------------


def test_the_first_start_pushes_nothing_old(chats, start):
    chats.insert_many(group_document(at=time.time() - age) for age in (3, 2, 1))
    assert read_all(start()) == 0


def test_the_first_start_on_an_empty_collection_pushes_what_comes_then(chats, start):
    scanner = start()
    chats.insert_one(group_document("first"))
    assert read_all(scanner) == 1


def test_the_first_start_on_an_empty_collection_needs_no_index_yet(mongo_db, start):
    with pytest.raises(MissingIndexError):
        start()
    mongo_db.groups.insert_one(group())
    mongo_db.chats.insert_one(group_document())
    mongo_db.chats.create_index([("createAt", 1), ("_id", 1)])
    assert read_all(start()) == 1


def test_a_future_message_does_not_become_the_first_position(chats, start):
    chats.insert_many([group_document(at=time.time() - 5), group_document(at=time.time() + 9_999)])
    scanner = start()
    chats.insert_one(group_document("now"))
    assert read_all(scanner) == 1


def test_a_second_start_goes_on_from_the_position(chats, start):
    start()
    chats.insert_one(group_document("while away"))
    assert read_all(start()) == 1


# --- reading on --------------------------------------------------------------------------------


@pytest.mark.parametrize("time_as", TIMES)
def test_new_messages_are_submitted_in_order(chats, start, time_as):
    now = time.time()
    chats.insert_one(group_document("old", at=now - 30, time_as=time_as))
    scanner = start()
    chats.insert_many(group_document(str(n), at=now - 20 + n, time_as=time_as) for n in range(5))
    assert read_all(scanner) == 5
    assert texts() == [f"小王: {n}" for n in range(5)]


def test_a_collection_may_change_how_it_writes_times(chats, start):
    now = time.time()
    scanner = start()
    chats.insert_many(
        group_document(str(n), at=now - 20 + n, time_as=name) for n, name in enumerate([*TIMES, *reversed(TIMES)])
    )
    assert read_all(scanner) == len(TIMES) * 2
    assert texts() == [f"小王: {n}" for n in range(len(TIMES) * 2)]


def test_more_than_a_batch_at_one_time_is_read_whole(chats, start, settings):
    settings.SCAN_BATCH = 4
    scanner, now = start(), time.time()
    chats.insert_many(group_document(str(n), at=now, time_as="text_seconds") for n in range(18))
    assert read_all(scanner) == 18
    assert row().read == 18


def test_reading_again_submits_nothing_twice(chats, start):
    scanner = start()
    chats.insert_one(group_document())
    assert [read_all(scanner), read_all(scanner), read_all(start())] == [1, 0, 0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["advance", "count"])
def test_a_batch_that_meets_another_transaction_is_stored_again_as_a_whole(chats, start, monkeypatch, where):
    real, tries = getattr(watermarks, where), []

    def meet(*args, **kwargs):
        found = real(*args, **kwargs)
        tries.append(where)
        if len(tries) < 3:
            raise OperationalError(conflicts.DEADLOCK, "Deadlock found when trying to get lock")
        return found

    scanner = start()
    monkeypatch.setattr(watermarks, where, meet)
    chats.insert_many([group_document("pushed"), group_document(user="nobody")])
    assert read_all(scanner) == 1
    assert len(tries) == 3
    assert (row().read, row().accepted, sum(row().refused.values())) == (2, 1, 1)
    assert (PushRecord.objects.count(), DeadLetter.objects.count()) == (1, 1)


def test_a_private_message_goes_to_its_recipient(private_chats, start):
    scanner = start("private")
    private_chats.insert_one(private_document("在吗"))
    read_all(scanner)
    record = PushRecord.objects.get()
    assert (record.kind, record.accounts, record.title, record.text) == ("private", ["2"], "小王", "在吗")


def test_a_clock_that_is_a_little_ahead_delays_nothing_and_hides_nothing(chats, start):
    scanner, now = start(), time.time()
    chats.insert_one(group_document("ahead", at=now + 55))
    assert read_all(scanner) == 1
    chats.insert_one(group_document("right", at=now - 20))
    assert read_all(scanner) + scanner.look_back(timezone.now()) == 1


def test_the_lag_is_the_age_of_what_is_left(chats, start, settings):
    settings.SCAN_BATCH = 1
    scanner, now = start(), time.time()
    chats.insert_many([group_document(at=now - 100), group_document(at=now)])
    assert 99 < scanner.forward(timezone.now()).lag_seconds < 110


# --- late documents ----------------------------------------------------------------------------


def test_a_late_document_is_pushed_once(chats, start):
    scanner, now = start(), time.time()
    chats.insert_one(group_document("on time", at=now))
    read_all(scanner)
    chats.insert_one(group_document("late", at=now - 30))
    assert [read_all(scanner), scanner.look_back(timezone.now()), scanner.look_back(timezone.now())] == [0, 1, 0]
    assert row().late == 1


def test_a_late_document_with_an_equal_time_and_lesser_id_is_pushed(chats, start):
    late, now = group_document("late"), time.time()
    scanner = start()
    on_time = group_document("on time", at=now, time_as="text_seconds")
    chats.insert_one(on_time)
    read_all(scanner)
    chats.insert_one({**late, "createAt": on_time["createAt"]})
    assert late["_id"] < on_time["_id"]
    assert scanner.look_back(timezone.now()) == 1


def test_looking_back_after_a_restart_doubles_nothing(chats, start):
    scanner = start()
    chats.insert_many(group_document(str(n)) for n in range(5))
    read_all(scanner)
    assert start().look_back(timezone.now()) == 0
    assert PushRecord.objects.count() == 5


def test_after_a_pause_what_came_late_is_read_before_the_position_moves_on(chats, start, settings):
    settings.CHAT_OVERLAP_SECONDS = 5
    scanner, now = start(), time.time()
    chats.insert_one(group_document("read", at=now - 40))
    assert read_all(scanner) == 1
    chats.insert_many([group_document("late", at=now - 42), group_document("new", at=now - 1)])
    assert read_all(start()) == 2


def test_looking_back_never_passes_the_first_start(chats, start):
    chats.insert_many(group_document(at=time.time() - age) for age in (3, 2, 1))
    assert start().look_back(timezone.now()) == 0


def test_what_is_later_than_the_overlap_stays_unread(chats, start):
    scanner, now = start(), time.time()
    chats.insert_one(group_document(at=now))
    read_all(scanner)
    chats.insert_one(group_document("imported", at=now - 1_000))
    assert scanner.look_back(timezone.now()) == 0


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": "hologram"}, Refusal.UNKNOWN_TYPE),
        ({"type": None}, Refusal.MISSING_FIELD),
        ({"user": None}, Refusal.MISSING_FIELD),
        ({"group_id": None}, Refusal.MISSING_FIELD),
        ({"group_id": 99}, Refusal.UNKNOWN_GROUP),
        ({"group_id": "x" * 200}, Refusal.UNKNOWN_GROUP),
        ({"user": {"user_id": "u" * 99}}, Refusal.INVALID),
    ],
)
def test_a_broken_document_is_kept_with_its_reason_and_stops_nothing(chats, start, fields, reason):
    scanner = start()
    chats.insert_many([group_document("before"), group_document(**fields), group_document("after")])
    assert read_all(scanner) == 2
    letter = DeadLetter.objects.get()
    assert (letter.source, letter.reason) == ("group", reason)
    assert row().refused == {reason.value: 1}


def test_a_message_that_the_database_refuses_is_kept_and_stops_nothing(chats, start, monkeypatch):
    real = bulk.insert_rows

    def insert(model, rows, **how):
        if model is PushRecord and any("poison" in row.text for row in rows):
            raise DataError("Incorrect string value")
        real(model, rows, **how)

    monkeypatch.setattr("pushes.storage.bulk.insert_rows", insert)
    scanner = start()
    chats.insert_many([group_document("before"), group_document("poison"), group_document("after")])
    assert read_all(scanner) == 2
    assert DeadLetter.objects.get().reason == Refusal.INVALID
    assert row().refused == {"invalid": 1}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": "recall"}, Refusal.SILENT_KIND),
        ({"data": " "}, Refusal.EMPTY),
        ({"group_id": 8}, Refusal.NO_RECIPIENT),
    ],
)
def test_what_is_not_for_pushing_is_counted_and_not_kept(chats, mongo_db, start, fields, reason):
    mongo_db.groups.insert_one(group(8, members=(1,)))
    scanner = start()
    chats.insert_one(group_document(**fields))
    assert read_all(scanner) == 0
    assert row().refused == {reason.value: 1}
    assert not DeadLetter.objects.exists()


def test_a_message_from_yesterday_is_too_old(chats, start, settings):
    settings.CHAT_MAX_AGE_SECONDS = 3_600
    scanner = start()
    chats.insert_one(group_document(at=time.time() - 4_000))
    assert read_all(scanner) == 0
    assert row().refused == {"too_old": 1}


def test_the_same_broken_document_is_kept_once(chats, start):
    scanner = start()
    chats.insert_one(group_document(type="hologram"))
    read_all(scanner)
    start().look_back(timezone.now())
    assert DeadLetter.objects.count() == 1


@pytest.mark.parametrize(("privacy", "is_kept"), [("full", True), ("preview", False), ("hidden", False)])
def test_a_dead_letter_keeps_the_text_only_if_privacy_allows(chats, start, settings, privacy, is_kept):
    settings.CHAT_PRIVACY = privacy
    scanner = start()
    chats.insert_one(group_document("秘密", type="hologram"))
    read_all(scanner)
    assert ("秘密".encode() in bytes(DeadLetter.objects.get().raw)) == is_kept


def test_a_huge_broken_document_is_cut(chats, start, settings):
    settings.CHAT_PRIVACY = "full"
    scanner = start()
    chats.insert_one(group_document("长" * 4_000_000, type="hologram"))
    read_all(scanner)
    assert len(bytes(DeadLetter.objects.get().raw)) <= 65_536


def test_a_huge_message_is_pushed_with_its_beginning(chats, start):
    scanner = start()
    chats.insert_one(group_document("长" * 4_000_000))
    assert read_all(scanner) == 1
    assert len(PushRecord.objects.get().text) < 100


def test_a_group_directory_that_breaks_stops_with_nothing_lost(chats, start, settings):
    scanner = start()
    chats.insert_one(group_document())
    settings.CHAT_GROUP_DIRECTORY = "tests.chatscan.scanning.test_scanner.BrokenGroups"
    with pytest.raises(ConnectionError):
        read_all(start())
    assert read_all(scanner) == 1


@pytest.mark.parametrize("members", [[], [{"uid": 7}], "1,2,3", None])
def test_a_group_in_which_nobody_is_found_is_advised(chats, mongo_db, start, members, caplog):
    mongo_db.groups.update_one({"group_id": 7}, {"$set": {"members": members}})
    scanner = start()
    assert scanner.advice == ""
    chats.insert_many([group_document(), group_document()])
    assert read_all(scanner) == 0
    assert "nobody was found in the group 7, so nobody gets its messages" in scanner.advice
    assert caplog.text.count("nobody was found") == 1


def test_the_advice_ends_when_somebody_is_found(chats, mongo_db, start, settings):
    settings.CHAT_GROUP_CACHE_SECONDS = 0
    mongo_db.groups.update_one({"group_id": 7}, {"$set": {"members": []}})
    scanner = start()
    chats.insert_one(group_document())
    read_all(scanner)
    mongo_db.groups.update_one({"group_id": 7}, {"$set": {"members": [{"user_id": 8}]}})
    chats.insert_one(group_document())
    assert (read_all(scanner), scanner.advice) == (1, "")


def test_a_group_of_the_sender_alone_is_no_reason_for_advice(chats, mongo_db, start):
    mongo_db.groups.update_one({"group_id": 7}, {"$set": {"members": [1]}})
    scanner = start()
    chats.insert_one(group_document())
    assert (read_all(scanner), scanner.advice) == (0, "")


def test_many_deserted_groups_are_told_in_a_few_words(chats, mongo_db, start):
    mongo_db.groups.insert_many([group(number, ()) for number in range(100, 120)])
    scanner = start()
    chats.insert_many([group_document(group_id=number) for number in range(100, 120)])
    read_all(scanner)
    assert "…" in scanner.advice
    assert len(scanner.advice) < 300


class BrokenGroups:
    def __init__(self, client) -> None: ...

    def load(self, group_ids):
        raise ConnectionError("no directory today")

    def advice(self) -> str:
        return ""


# --- documents that no position reaches --------------------------------------------------------


def test_a_document_without_a_time_is_kept(chats, start):
    scanner = start()
    document = group_document()
    del document["createAt"]
    chats.insert_one(document)
    assert scanner.look_aside(timezone.now()) == 1
    assert DeadLetter.objects.get().reason == Refusal.MISSING_FIELD


@pytest.mark.parametrize("value", ["yesterday", "", 5, True, {"$date": "x"}])
def test_a_document_with_an_unreadable_time_is_kept_and_moves_nothing(chats, start, value):
    scanner = start()
    chats.insert_many([group_document(createAt=value), group_document("fine")])
    assert read_all(scanner) == 1
    scanner.look_aside(timezone.now())
    assert DeadLetter.objects.get().reason == Refusal.BAD_TIME


@pytest.mark.parametrize("as_element", ["text_milliseconds", "int_seconds", "date"])
def test_an_array_as_a_time_is_kept_and_never_becomes_the_position(chats, start, as_element):
    """In MongoDB's index each element stands by itself, so such a document is met among the ordinary ones."""
    scanner, now = start(), time.time()
    element = TIMES[as_element]
    chats.insert_one(group_document(createAt=[element(now - 50), element(now - 10), "x"]))
    read_all(scanner)
    chats.insert_many(group_document(str(n), at=now - 20 + n, time_as=as_element) for n in range(15))
    assert read_all(scanner) + scanner.look_back(timezone.now()) == 15
    assert read_all(start()) == 0
    assert [letter.reason for letter in DeadLetter.objects.all()] == [Refusal.BAD_TIME]


def test_an_array_among_old_messages_does_not_become_the_first_position(chats, start):
    now = time.time()
    chats.insert_one(group_document(createAt=[TIMES["text_milliseconds"](now - 5), TIMES["text_milliseconds"](now)]))
    scanner = start()
    chats.insert_one(group_document("first", at=now + 1))
    assert read_all(scanner) == 1


@pytest.mark.parametrize("value", [[], ["yesterday"], [None], [5]])
def test_an_array_without_a_time_is_found_aside(chats, start, value):
    scanner = start()
    chats.insert_many([group_document(createAt=value), group_document("fine")])
    assert read_all(scanner) == 1
    scanner.look_aside(timezone.now())
    assert DeadLetter.objects.get().reason == Refusal.BAD_TIME


def test_a_document_from_the_far_future_is_named_now_and_pushed_when_its_time_comes(chats, start):
    scanner, now = start(), timezone.now()
    chats.insert_one(group_document(at=now.timestamp() + 500))
    assert [read_all(scanner), scanner.look_aside(now)] == [0, 1]
    assert DeadLetter.objects.get().reason == Refusal.FUTURE_TIME
    assert scanner.forward(now + timedelta(seconds=501)).accepted == 1


def test_oddities_are_kept_once(chats, start):
    scanner = start()
    chats.insert_one(group_document(createAt=None))
    for _ in range(2):
        scanner.look_aside(timezone.now())
    start().look_aside(timezone.now())
    assert DeadLetter.objects.count() == 1


def test_oddities_from_before_the_first_start_are_nobodys_fault(chats, start):
    chats.insert_one(group_document(createAt="yesterday"))
    scanner = start()
    ScannerPosition.objects.update(created_at=timezone.now() + timedelta(seconds=5))
    assert scanner.look_aside(timezone.now()) == 0


# --- two at once -------------------------------------------------------------------------------


def test_the_loser_of_a_race_reads_again_and_doubles_nothing(chats, start):
    first, second = start(), start()
    chats.insert_many(group_document(str(n)) for n in range(3))
    stale = second._mark()
    assert read_all(first) == 3
    second._mark = lambda: stale  # what it would hold if the other one came between its read and its write
    assert second.forward(timezone.now()).is_caught_up is False
    del second._mark
    assert read_all(second) == 0
    assert PushRecord.objects.count() == 3
    assert row().duplicates == 0
