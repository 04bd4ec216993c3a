import time

import pytest

from pushes.sandbox.store import SEGMENT, Received, describe

REST = describe("android", "题", 'a"b\n', {"k": "v"}, 7, "12", "/v2/push/single_device")


def entries(store: Received, **asked):
    return [entry for segment in store.segments(**asked) for entry in segment]


def filled(count: int, keep: int = 10_000) -> Received:
    store = Received(keep)
    store.record(1, [f"{number:040x}" for number in range(1, count + 1)], REST)
    return store


def test_an_entry_comes_back_whole():
    store = Received()
    store.record(2100000001, ["ab" * 20], REST)
    (entry,) = entries(store)
    assert entry.as_dict() | {"time": 0} == {
        "seq": 1,
        "time": 0,
        "access_id": 2100000001,
        "token": "ab" * 20,
        "platform": "android",
        "title": "题",
        "content": 'a"b\n',
        "custom": {"k": "v"},
        "n_id": 7,
        "push_id": "12",
        "path": "/v2/push/single_device",
        "link": "",
        "image": "",
    }
    assert abs(entry.time - time.time()) < 5


@pytest.mark.parametrize("count", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT + 5])
def test_entries_come_in_order_across_segments(count):
    assert [entry.seq for entry in entries(filled(count))] == list(range(1, count + 1))


@pytest.mark.parametrize("after", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT + 9])
def test_reading_goes_on_after_a_position(after):
    found = entries(filled(2 * SEGMENT + 10), after=after)
    assert [entry.seq for entry in found] == list(range(after + 1, 2 * SEGMENT + 11))


def test_a_position_beyond_the_end_finds_nothing():
    assert entries(filled(5), after=99) == []


def test_only_one_tokens_entries():
    assert [entry.seq for entry in entries(filled(2000), token=f"{1500:040x}")] == [1500]


def test_only_one_keys_entries():
    store = filled(3)
    store.record(2, ["ff" * 20], REST)
    assert [entry.seq for entry in entries(store, access_id="2")] == [4]


def test_the_oldest_are_forgotten_by_the_segment():
    store = filled(3 * SEGMENT, keep=2 * SEGMENT)
    assert (len(store), store.forgotten, store.last_seq) == (2 * SEGMENT, SEGMENT, 3 * SEGMENT)
    assert entries(store)[0].seq == SEGMENT + 1
    assert entries(store, after=SEGMENT + 7)[0].seq == SEGMENT + 8


def test_clearing_keeps_the_sequence_going():
    store = filled(SEGMENT + 3)
    store.clear()
    store.record(1, ["aa" * 20], REST)
    assert [entry.seq for entry in entries(store, after=SEGMENT + 3)] == [SEGMENT + 4]
    assert len(store) == 1


def test_the_newest_come_first():
    assert [entry.seq for entry in filled(SEGMENT + 2).newest(4)] == [SEGMENT + 2, SEGMENT + 1, SEGMENT, SEGMENT - 1]


def test_the_newest_of_one_token():
    assert [entry.seq for entry in filled(2000).newest(5, token=f"{3:040x}")] == [3]


def test_the_newest_of_nothing():
    assert Received().newest(5) == []


def test_rows_hold_the_same_as_entries():
    store = filled(SEGMENT + 1)
    assert [tuple(row) for rows in store.rows() for row in rows] == [entry[1:] for entry in entries(store)]


def test_entries_take_little_memory():
    store = filled(20 * SEGMENT, keep=100 * SEGMENT)
    assert store.compressed_bytes / len(store) < 60
