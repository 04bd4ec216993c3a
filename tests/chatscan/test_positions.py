"""Operators look at positions, rehearse going back, and go back."""

import time
from datetime import datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from chatscan.models import Rewind, ScannerPosition
from chatscan.positions import RewindRefusedError, preview_rewind, rewind
from chatscan.scanning import watermarks
from chatscan.scanning.watermarks import PositionLostError, set_back
from pushes.models import DeadLetter, PushRecord
from tests.chatscan.conftest import read_all, texts
from tests.chatscan.making import TIMES, group_document, private_document


@pytest.fixture
def hour(chats, start):
    """A scanner that has pushed two of four messages: the first two were there before its first start."""
    now = time.time()
    chats.insert_many(group_document(f"old {age}", at=now - age) for age in (3_000, 2_000))
    scanner = start()
    chats.insert_many(group_document(f"new {age}", at=now - age) for age in (1_000, 500))
    read_all(scanner)
    return scanner


def ago(seconds: float) -> datetime:
    return timezone.now() - timedelta(seconds=seconds)


def test_a_rehearsal_says_what_would_be_pushed_and_what_was(hour):
    preview = preview_rewind("group", ago(3_600))
    assert (preview.documents, preview.examined, preview.would_push, preview.already_pushed) == (4, 4, 2, 2)
    assert preview.is_complete
    assert [sample.recipients for sample in preview.samples] == [2, 2]
    assert preview.samples[0].text == "小王: old 3000"


def test_a_rehearsal_adds_up_what_several_scales_hold(chats, start, monkeypatch):
    monkeypatch.setattr("chatscan.positions.SAMPLE_SIZE", 3)
    now = time.time()
    scales = ("text_seconds", "int_seconds")
    chats.insert_many(group_document(at=now - age, time_as=each) for each in scales for age in (3_000, 2_000))
    scanner = start()
    chats.insert_many(group_document(at=now - age, time_as=each) for each in scales for age in (1_000, 500))
    read_all(scanner)
    preview = preview_rewind("group", ago(3_600))
    assert (preview.documents, preview.examined, preview.would_push, preview.already_pushed) == (8, 8, 4, 4)
    assert len(preview.samples) == 3


def test_a_rehearsal_counts_the_messages_of_this_second(hour, chats):
    chats.insert_one(group_document(at=time.time()))
    assert preview_rewind("group", ago(3_600)).documents == 5


def test_a_rehearsal_changes_nothing(hour, chats, django_capture_on_commit_callbacks):
    chats.insert_one(group_document(type="hologram"))
    before = ScannerPosition.objects.values().get()
    with django_capture_on_commit_callbacks() as enqueued:
        preview_rewind("group", ago(3_600))
    assert ScannerPosition.objects.values().get() == before
    assert (PushRecord.objects.count(), DeadLetter.objects.count(), enqueued) == (2, 0, [])


def test_a_rehearsal_counts_refusals(hour, chats, settings):
    settings.CHAT_MAX_AGE_SECONDS = 2_500
    chats.insert_one(group_document(type="system", at=time.time() - 100))
    preview = preview_rewind("group", ago(3_600))
    assert preview.refused == {"too_old": 1, "silent_kind": 1}


def test_a_rehearsal_counts_what_the_platform_refuses(hour, chats):
    chats.insert_one(group_document(at=time.time() - 100, user={"user_id": "u" * 99}))
    preview = preview_rewind("group", ago(3_600))
    assert (preview.refused, preview.examined, preview.would_push) == ({"invalid": 1}, 5, 2)


def test_a_long_rehearsal_examines_the_beginning_and_says_so(hour, monkeypatch):
    monkeypatch.setattr("chatscan.positions.MAX_REHEARSED", 3)
    preview = preview_rewind("group", ago(3_600))
    assert (preview.documents, preview.examined, preview.is_complete) == (4, 3, False)


def test_going_back_pushes_what_was_not_pushed_and_nothing_else(hour):
    rewind("group", ago(2_500), None)
    assert read_all(hour) == 1
    assert sorted(texts()) == ["小王: new 1000", "小王: new 500", "小王: old 2000"]


def test_going_back_is_the_limit_of_looking_back(hour, settings):
    settings.CHAT_OVERLAP_SECONDS = 3_600
    rewind("group", ago(2_500), None)
    read_all(hour)
    assert hour.look_back(timezone.now()) == 0


@pytest.mark.parametrize("time_as", TIMES)
def test_going_back_includes_the_whole_second(chats, start, time_as):
    at = int(time.time()) - 100
    chats.insert_many([group_document(at=at - 1, time_as=time_as), group_document(at=at + 0.5, time_as=time_as)])
    scanner = start()
    rewind("group", datetime.fromtimestamp(at, timezone.get_current_timezone()), None)
    assert read_all(scanner) == 1


def test_who_went_back_is_kept(hour):
    user = get_user_model().objects.create_user("operator")
    before = ScannerPosition.objects.get().cursors
    rewind("group", ago(2_500), user)
    kept = Rewind.objects.get()
    assert (kept.by, kept.scanner_id, kept.cursors_before) == (user, "group", before)


def test_private_scanners_go_back_too(private_chats, start):
    private_chats.insert_many(private_document(at=time.time() - age) for age in (20, 10))
    scanner = start("private")
    rewind("private", ago(60), None)
    assert read_all(scanner) == 2


@pytest.mark.parametrize(
    ("kind", "to_time", "reason"),
    [
        ("private", lambda: ago(60), "has not started"),
        ("broadcast", lambda: ago(60), "has not started"),
        ("group", lambda: ago(-60), "later than the current position"),
        ("group", lambda: ago(100), "later than the current position"),
        ("group", lambda: ago(91 * 86_400), "RETENTION_DAYS"),
        ("group", lambda: ago(600).replace(tzinfo=None), "zone"),
    ],
)
def test_an_impossible_time_is_refused(hour, kind, to_time, reason):
    for function in (lambda: preview_rewind(kind, to_time()), lambda: rewind(kind, to_time(), None)):
        with pytest.raises(RewindRefusedError, match=reason):
            function()


def test_a_rehearsal_shows_some_of_the_messages_as_they_would_be_pushed(hour, monkeypatch):
    monkeypatch.setattr("chatscan.positions.SAMPLE_SIZE", 1)
    to_time = ago(3_600)
    preview = preview_rewind("group", to_time)
    assert (preview.kind, preview.to_time) == ("group", to_time)
    [sample] = preview.samples
    assert (sample.conversation, sample.recipients, sample.text) == ("group:7", 2, "小王: old 3000")
    assert sample.message_id
    assert sample.occurred_at is not None
    assert abs(timezone.now() - timedelta(seconds=3_000) - sample.occurred_at) < timedelta(minutes=1)


def test_a_refused_time_is_told_in_local_time_with_the_limit(hour, settings):
    settings.RETENTION_DAYS = 3
    to_time = ago(4 * 86_400)
    with pytest.raises(RewindRefusedError) as caught:
        rewind("group", to_time, None)
    shown = timezone.localtime(to_time).isoformat(" ", "seconds")
    assert str(caught.value) == (
        f"{shown} is more than RETENTION_DAYS=3 days ago: pushes from that time are no longer on record "
        "and would be sent again. Choose a later time."
    )


def test_a_time_after_the_position_is_told_in_local_time(hour):
    to_time = ago(100)
    with pytest.raises(RewindRefusedError) as caught:
        rewind("group", to_time, None)
    shown = timezone.localtime(to_time).isoformat(" ", "seconds")
    assert str(caught.value) == (
        f"{shown} is later than the current position: messages would be skipped. Choose an earlier time."
    )


def test_a_refusal_names_the_value(hour):
    aware = timezone.make_aware(datetime.fromisoformat("2026-11-01T08:00:00"))
    for kind, to_time, words in (
        ("private", aware, "kind='private': this scanner has not started yet"),
        ("group", timezone.make_naive(aware), "to_time=2026-11-01T08:00:00: the time needs a time zone"),
    ):
        with pytest.raises(RewindRefusedError) as caught:
            rewind(kind, to_time, None)
        assert str(caught.value) == words


def test_the_position_itself_is_no_time_after_it(hour):
    at = ScannerPosition.objects.get().position_at
    assert at is not None
    assert rewind("group", at, None).position_at == at


def busy_scanner(times: int):
    """In place of `set_back`: the scanner moves first, so many times."""
    moves = iter(range(times))

    def lose_or_set_back(*args):
        if next(moves, None) is not None:
            raise PositionLostError("group")
        set_back(*args)

    return lose_or_set_back


def test_going_back_is_tried_again_while_the_scanner_moves(hour, monkeypatch):
    monkeypatch.setattr(watermarks, "set_back", busy_scanner(4))
    to_time = ago(2_500)
    assert rewind("group", to_time, None).position_at == to_time
    assert Rewind.objects.get().to_time == to_time


def test_a_scanner_that_never_rests_is_not_put_back(hour, monkeypatch):
    monkeypatch.setattr(watermarks, "set_back", busy_scanner(5))
    with pytest.raises(PositionLostError):
        rewind("group", ago(2_500), None)
    assert not Rewind.objects.exists()
