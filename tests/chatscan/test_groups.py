"""Groups: in bulk, and remembered for a while."""

from collections.abc import Iterator

import pytest
from bson import Decimal128, Int64
from django.conf import settings as django_settings
from pymongo.errors import PyMongoError

from chatscan.groups import CachedGroups, Group, MongoGroups, group_directory
from chatscan.mongo.connection import connect
from pushes.names import App
from tests.chatscan.making import group


@pytest.fixture
def directory(mongo_db) -> Iterator[MongoGroups]:
    with connect(django_settings.MONGO_URL, 10) as client:
        yield MongoGroups(client)


def test_a_group_is_read(mongo_db, directory):
    mongo_db.groups.insert_one(group(7, (1, "2", 3.0), owner_id=5, app="higirl"))
    assert directory.load(["7"]) == {"7": Group("7", "团购群", "5", App.HIGIRL, ("1", "2", "3"))}


def test_odd_groups_are_read_as_far_as_they_go(mongo_db, directory):
    mongo_db.groups.insert_many(
        [{"group_id": "a"}, group("b", (1, 1, None, {}), app="other", name=["x"]), {"group_id": "c", "members": 5}]
    )
    assert directory.load(["a", "b", "c"]) == {
        "a": Group("a", "", "", None, ()),
        "b": Group("b", "", "1", None, ("1",)),
        "c": Group("c", "", "", None, ()),
    }


def test_other_names_can_be_configured(mongo_db, settings):
    settings.CHAT_GROUPS_COLLECTION = "rooms"
    settings.CHAT_GROUPS_FIELDS = {"group_id": "room.id", "members": "people", "name": "room.title"}
    mongo_db.rooms.insert_one({"room": {"id": 1, "title": "T"}, "people": [4]})
    with connect(settings.MONGO_URL, 10) as client:
        assert MongoGroups(client).load(["1"]) == {"1": Group("1", "T", "", None, ("4",))}


MEMBERS = [
    [{"user_id": 7, "role": "owner"}, {"user_id": "8"}],
    {"7": {"role": "owner"}, "8": {}},
    {"7": True, "8": 1, "9": False, "10": None},
    {"a": {"user_id": 7}, "b": {"user_id": 8.0}},
    [7, {"user_id": "8"}, {}, None, {"user_id": None}],
    [{"user_id": Decimal128("7")}, {"user_id": Int64(8)}],
    '[7, "8"]',
    '{"7": {"role": "owner"}, "8": {}}',
]


@pytest.mark.parametrize("members", MEMBERS)
def test_members_are_found_in_lists_of_objects_and_in_maps(mongo_db, directory, members):
    mongo_db.groups.insert_one(group() | {"members": members})
    assert directory.load(["7"])["7"].members == ("7", "8")


def test_where_a_member_has_its_id_can_be_configured(mongo_db, settings):
    settings.CHAT_GROUPS_FIELDS = {"members": "room.people", "member_id": "account.uid"}
    people = [{"account": {"uid": 7}}, {"account": {"uid": "8"}, "user_id": 9}]
    mongo_db.groups.insert_many(
        [{"group_id": 1, "room": {"people": people}}, {"group_id": 2, "room": {"people": {"x": people[0]}}}]
    )
    with connect(settings.MONGO_URL, 10) as client:
        found = MongoGroups(client).load(["1", "2"])
    assert (found["1"].members, found["2"].members) == (("7", "8"), ("7",))


def test_a_single_member_that_is_an_object_is_one_member_and_no_map(mongo_db, directory):
    mongo_db.groups.insert_one(group() | {"members": {"user_id": 7, "role": "owner"}})
    assert directory.load(["7"])["7"].members == ("7",)


def test_a_missing_index_is_advised(mongo_db, directory):
    assert "createIndex" in directory.advice()
    mongo_db.groups.create_index("group_id")
    assert directory.advice() == ""


class Counting:
    """A directory that says how often it was asked."""

    def __init__(self, known: str = "abc") -> None:
        self.known = known
        self.asked: list[list[str]] = []

    def load(self, group_ids):
        self.asked.append(sorted(group_ids))
        return {key: Group(key, "", "", None, ()) for key in group_ids if key in self.known}

    def advice(self) -> str:
        return "advice"


def test_a_known_group_is_not_asked_for_again():
    behind = Counting()
    groups = CachedGroups(behind, 60)
    assert groups.load(["a", "b"]) == groups.load(["b", "a"])
    groups.load(["a", "c"])
    assert behind.asked == [["a", "b"], ["c"]]


def test_an_unknown_group_is_asked_for_again():
    behind = Counting()
    groups = CachedGroups(behind, 60)
    assert groups.load(["x"]) == groups.load(["x"]) == {}
    assert len(behind.asked) == 2


def test_a_group_is_forgotten_in_time():
    behind = Counting()
    groups = CachedGroups(behind, 0)
    groups.load(["a"])
    groups.load(["a"])
    assert len(behind.asked) == 2


def test_the_memory_is_bounded():
    behind = Counting(known="".join(map(chr, range(1000, 1500))))
    groups = CachedGroups(behind, 60)
    groups.load(list(behind.known))
    groups.load(list(behind.known[:300]))
    assert len(behind.asked) == 2


def test_the_configured_directory_is_used(settings):
    settings.CHAT_GROUP_DIRECTORY = "tests.chatscan.test_groups.ForAll"
    with connect("mongodb://127.0.0.1:1/x", 1) as client:
        assert group_directory(client).load(["7"])["7"].name == "everybody"


class ForAll:
    def __init__(self, client) -> None:
        assert not issubclass(type(client), PyMongoError)

    def load(self, group_ids):
        return {key: Group(key, "everybody", "", None, ()) for key in group_ids}

    def advice(self) -> str:
        return ""
