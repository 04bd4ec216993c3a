"""Reading the chat collection in bounded pieces, by its index, in its own order."""

import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from bson.raw_bson import RawBSONDocument
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pymongo.monitoring import CommandListener, CommandStartedEvent

from chatscan.messages.instants import Cursor, Scale
from chatscan.mongo.bson_text import decode, encode
from chatscan.mongo.chats import ChatStore, MissingIndexError
from chatscan.mongo.connection import ChatStoreError, connect, database_of
from chatscan.mongo.doorbell import DoorbellError
from chatscan.mongo.groups import GroupStore
from tests.chatscan.making import group_document

BEFORE = "3"


@pytest.fixture
def store(mongo_db) -> Iterator[ChatStore]:
    with connect(settings.MONGO_URL, 10) as client:
        yield ChatStore(client, mongo_db.name, "chats", "createAt")


def page_through(store: ChatStore, scale: Scale, before: Any, limit: int) -> list[Any]:
    """Every `_id` of a scale, page by page."""
    cursor, ids = None, []
    while page := list(store.read_after(scale, cursor, before=before, limit=limit)):
        assert len(page) <= limit
        ids += [document["_id"] for document in page]
        cursor = Cursor(page[-1]["createAt"], page[-1]["_id"])
    return ids


def test_equal_times_are_never_skipped_nor_repeated(chats, store):
    chats.insert_many(group_document(createAt="1700000000") for _ in range(53))
    ids = page_through(store, Scale.TEXT, BEFORE, 10)
    assert ids == sorted(document["_id"] for document in chats.find())


def test_ids_of_mixed_types_at_one_time_are_all_read(chats, store):
    ids = [1, 2.5, "a", "b", ObjectId(), b"x", True, {"k": 1}, datetime(2020, 1, 1, tzinfo=timezone.utc), uuid_binary()]
    chats.insert_many({"_id": key, "createAt": 1_700_000_000} for key in ids)
    assert len(page_through(store, Scale.SECONDS, 1_800_000_000, 1)) == len(ids)


def uuid_binary() -> bytes:
    return uuid.UUID(int=7).bytes


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(seconds=st.lists(st.integers(1_700_000_000, 1_700_000_005), max_size=30), limit=st.integers(1, 7))
def test_any_page_size_reads_everything_once_in_order(chats, store, seconds, limit):
    chats.delete_many({})
    documents = [group_document(createAt=f"{second}{'000' * (second % 2)}") for second in seconds]
    if documents:
        chats.insert_many(documents)
    wanted = [document["_id"] for document in sorted(documents, key=lambda d: (d["createAt"], d["_id"]))]
    assert page_through(store, Scale.TEXT, BEFORE, limit) == wanted


def test_nothing_is_read_from_the_end_on(chats, store):
    chats.insert_many([group_document(createAt="1700000000"), group_document(createAt="1700000060")])
    assert len(list(store.read_after(Scale.TEXT, None, before="1700000060", limit=10))) == 1


def test_the_newest_is_found_in_each_scale(chats, store):
    values = ["1700000001", 1_700_000_002, 1_700_000_003_000, Decimal128("1700000001")]
    chats.insert_many(group_document(createAt=value) for value in values)
    assert store.newest(Scale.TEXT, BEFORE).value == "1700000001"
    assert store.newest(Scale.SECONDS, 2 * 10**9).value == 1_700_000_002
    assert store.newest(Scale.MILLISECONDS, 2 * 10**12).value == 1_700_000_003_000
    assert store.newest(Scale.DATE, datetime(2040, 1, 1, tzinfo=timezone.utc)) is None


@pytest.mark.parametrize("options", [{"sparse": True}, {"partialFilterExpression": {"seq": 1}}])
def test_an_index_that_misses_documents_is_not_used(mongo_db, store, options):
    mongo_db.chats.create_index([("createAt", 1), ("_id", 1)], **options)
    with pytest.raises(MissingIndexError):
        store.check_index()


def test_a_missing_index_is_reported_with_the_command_that_creates_it(mongo_db, store):
    mongo_db.chats.insert_one(group_document())
    with pytest.raises(MissingIndexError) as caught:
        list(store.read_after(Scale.TEXT, None, before=BEFORE, limit=1))
    wanted = f'db.getSiblingDB("{mongo_db.name}").getCollection("chats").createIndex({{"createAt": 1, "_id": 1}})'
    assert wanted in str(caught.value)


def test_an_index_on_the_time_alone_is_used_with_advice(mongo_db, store):
    mongo_db.chats.create_index("createAt")
    mongo_db.chats.insert_many(group_document(createAt="1700000000") for _ in range(7))
    assert "faster with db.getSiblingDB" in store.check_index()
    assert len(page_through(store, Scale.TEXT, BEFORE, 2)) == 7


def test_a_descending_index_serves_as_well(mongo_db, store):
    mongo_db.chats.create_index([("createAt", -1), ("_id", -1)])
    mongo_db.chats.insert_many(group_document(createAt="1700000000") for _ in range(7))
    assert store.check_index() == ""
    assert page_through(store, Scale.TEXT, BEFORE, 2) == sorted(d["_id"] for d in mongo_db.chats.find())


def test_an_index_dropped_meanwhile_is_noticed(chats, store):
    store.check_index()
    chats.drop_indexes()
    with pytest.raises(ChatStoreError):
        store.newest(Scale.TEXT, BEFORE)
    with pytest.raises(MissingIndexError):
        store.newest(Scale.TEXT, BEFORE)


class Commands(CommandListener):
    """Keeps every find that is sent."""

    def __init__(self) -> None:
        self.finds: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.finds.append(dict(event.command))

    def succeeded(self, event) -> None: ...
    def failed(self, event) -> None: ...


def test_no_read_ever_scans_the_collection(chats, mongo_db):
    chats.insert_many(group_document(createAt=value) for value in ("1700000000", 1_700_000_000, None, "x", 5))
    commands = Commands()
    with connect(settings.MONGO_URL, 10, listeners=[commands]) as client:
        store = ChatStore(client, mongo_db.name, "chats", "createAt")
        page_through(store, Scale.TEXT, BEFORE, 1)
        store.newest(Scale.SECONDS, 2 * 10**9)
        list(store.keys("1700000000", "1700000000"))
        list(store.odd(1_800_000_000, ["createAt"]))
    allowed = ("find", "filter", "sort", "hint", "projection", "limit")
    plans = [
        str(mongo_db.command("explain", {key: find[key] for key in allowed if key in find}, verbosity="queryPlanner"))
        for find in commands.finds
    ]
    assert len(plans) > 15
    assert all("IXSCAN" in plan and "COLLSCAN" not in plan and "'stage': 'SORT'" not in plan for plan in plans)
    assert all(find["maxTimeMS"] == 10_000 for find in commands.finds)


def test_odd_documents_are_found_and_ordinary_ones_are_not(chats, store):
    odd = [None, "", "yesterday", "0123456789", 0, -5, 12, 5 * 10**11, 10**15, True, {"a": 1}, float("nan"), ObjectId()]
    ahead = ["1900000000000", 1_900_000_000, 1_900_000_000_000, datetime(2035, 1, 1, tzinfo=timezone.utc)]
    fine = ["1700000000", 1_700_000_000, 1_700_000_000_000, datetime(2023, 1, 1, tzinfo=timezone.utc)]
    missing = group_document()
    del missing["createAt"]
    chats.insert_many([group_document(createAt=value) for value in odd + ahead + fine] + [missing])
    found = [document.get("createAt") for document in store.odd(1_800_000_000, ["createAt"])]
    assert len(found) == len(odd + ahead) + 1
    assert not any(value in fine for value in found if value is not True)


def test_documents_with_odd_bytes_do_not_stop_the_batch(chats, store):
    broken = b"\x02data\x00\x03\x00\x00\x00\xff\xfe\x00\x02createAt\x00\x0b\x00\x00\x001700000000\x00"
    body = b"\x10_id\x00\x01\x00\x00\x00" + broken + b"\x00"
    chats.database.get_collection("chats").insert_one(RawBSONDocument((len(body) + 4).to_bytes(4, "little") + body))
    chats.insert_one(group_document(createAt="1700000001"))
    assert len(page_through(store, Scale.TEXT, BEFORE, 10)) == 2


@pytest.mark.parametrize(
    "value", ["1700000000", 1_700_000_000, 1.5e12, Decimal128("1.7E9"), datetime(2023, 1, 1, tzinfo=timezone.utc)]
)
@pytest.mark.parametrize("key", [ObjectId(), "a", 5, None])
def test_a_stored_cursor_keeps_its_types(value, key):
    cursor = Cursor(value, key)
    again = decode(encode(cursor))
    assert again == cursor
    assert type(again.value) is type(value) or isinstance(value, int)


def test_an_empty_or_missing_collection_is_known_as_empty(mongo_db, store):
    assert store.is_empty()
    mongo_db.chats.insert_one({})
    assert not store.is_empty()


def test_a_server_that_is_away_is_an_error_without_the_password():
    with connect("mongodb://user:topsecret@127.0.0.1:1/x", 0.2) as client, pytest.raises(ChatStoreError) as caught:
        ChatStore(client, "x", "chats", "createAt").is_empty()
    assert "127.0.0.1:1" in str(caught.value)
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize("url", ["mongodb://a:b:c@host/x", "mongodb://host:99999/x", "mongodb://"])
def test_an_url_that_cannot_be_used_is_refused(url):
    with pytest.raises(ChatStoreError, match="MONGO_URL"):
        connect(url, 1)


@pytest.mark.parametrize(
    ("url", "configured", "name"),
    [("mongodb://h/shop", "", "shop"), ("mongodb://h/shop", "chat", "chat"), ("mongodb://h", "", "higo")],
)
def test_the_database_is_the_settings_then_the_urls_then_higo(url, configured, name):
    assert database_of(url, configured) == name


def test_a_standalone_server_has_no_doorbell(standalone_mongo):
    with connect(standalone_mongo, 10) as client, pytest.raises(DoorbellError):
        ChatStore(client, "x", "chats", "createAt").open_doorbell()


def test_the_doorbell_rings_with_ids_that_are_not_known(chats, store):
    bell = store.open_doorbell()
    try:
        chats.insert_many([{"_id": 1}, {"_id": 2}])
        assert bell.wait(lambda key: key == 1, lambda: False) == 2
        assert bell.wait(lambda _key: False, lambda: True) is None
    finally:
        bell.close()


def test_a_dropped_collection_closes_the_doorbell(chats, store):
    bell = store.open_doorbell()
    try:
        chats.drop()
        with pytest.raises(DoorbellError, match="closed"):
            bell.wait(lambda _key: False, lambda: False)
    finally:
        bell.close()


def test_groups_are_found_whether_ids_are_numbers_or_text(mongo_db):
    mongo_db.groups.insert_many([{"group_id": 7}, {"group_id": "8"}, {"group_id": 9}])
    with connect(settings.MONGO_URL, 10) as client:
        groups = GroupStore(client, mongo_db.name, "groups", "group_id")
        found = groups.find(["7", "8", "99999999999999999999", "x"], ["group_id"])
    assert sorted(str(document["group_id"]) for document in found) == ["7", "8"]


def test_a_missing_group_index_is_advised(mongo_db):
    with connect(settings.MONGO_URL, 10) as client:
        groups = GroupStore(client, mongo_db.name, "groups", "group_id")
        assert 'createIndex({"group_id": 1})' in groups.index_advice()
        mongo_db.groups.create_index("group_id")
        assert groups.index_advice() == ""
