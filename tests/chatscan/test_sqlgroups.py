"""Groups out of somebody else's SQL schema: a real second database, two queries for any number of groups."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from chatscan.checks import check_chat_settings
from chatscan.groups import Group, group_directory
from chatscan.mongo.connection import connect
from chatscan.sqlgroups import SqlGroups
from pushes.models import PushRecord
from pushes.names import App
from pushes.people.directory import DirectoryError
from tests.chatscan.conftest import read_all
from tests.chatscan.making import group_document
from tests.foreign import attached

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "theirs.sqlite3"


@pytest.fixture
def schema(path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    theirs = sqlite3.connect(path, isolation_level=None)
    theirs.executescript(
        """
        CREATE TABLE hg_group (gid INTEGER PRIMARY KEY, title TEXT, owner_uid INT, site TEXT);
        CREATE TABLE hg_member (gid INT, uid INT, has_left INT);
        INSERT INTO hg_group VALUES (7, '团购群', 5, 'higirl'), (8, NULL, NULL, 'other');
        INSERT INTO hg_member VALUES (7, 5, 0), (7, 6, 0), (7, 6, 0), (7, 9, 1), (7, NULL, 0), (99, 1, 0);
        """
    )
    settings.CHAT_GROUP_DIRECTORY = "chatscan.sqlgroups.SqlGroups"
    settings.CHAT_GROUPS_SQL = (
        "SELECT gid AS group_id, title AS name, owner_uid AS owner_id, site AS app FROM hg_group WHERE gid IN ({ids})"
    )
    settings.CHAT_GROUP_MEMBERS_SQL = (
        "SELECT gid AS group_id, uid AS account_id FROM hg_member WHERE gid IN ({ids}) AND NOT has_left"
    )
    with attached(f"sqlite:///{path}", monkeypatch):
        yield theirs
    theirs.close()


@pytest.fixture
def groups(schema: sqlite3.Connection) -> Iterator[SqlGroups]:
    with connect("mongodb://127.0.0.1:1/x", 1) as client:
        yield SqlGroups(client)


def test_a_group_is_read_with_its_members_once_each(groups: SqlGroups):
    assert groups.load(["7"]) == {"7": Group("7", "团购群", "5", App.HIGIRL, ("5", "6"))}


def test_what_a_schema_leaves_empty_is_empty(groups: SqlGroups):
    assert groups.load(["8"]) == {"8": Group("8", "", "", None, ())}


def test_members_of_no_group_make_none(groups: SqlGroups):
    assert groups.load(["99", "nobody's"]) == {}


def test_no_ids_ask_nothing(schema: sqlite3.Connection, groups: SqlGroups):
    schema.execute("DROP TABLE hg_group")
    assert groups.load([]) == {}


def test_a_missing_column_is_named(groups: SqlGroups, settings: Settings):
    settings.CHAT_GROUP_MEMBERS_SQL = "SELECT gid AS group_id FROM hg_member WHERE gid IN ({ids})"
    with pytest.raises(DirectoryError, match="CHAT_GROUP_MEMBERS_SQL: the query returns no column “account_id”"):
        groups.load(["7"])


def test_the_configured_directory_is_used(schema: sqlite3.Connection):
    with connect("mongodb://127.0.0.1:1/x", 1) as client:
        directory = group_directory(client)
        assert directory.load(["7"])["7"].members == ("5", "6")
        assert directory.advice() == ""


def test_a_message_goes_to_the_members_that_sql_names(schema: sqlite3.Connection, chats, start):
    scanner = start()
    chats.insert_one(group_document(user={"user_id": 5}))
    assert read_all(scanner) == 1
    record = PushRecord.objects.get()
    assert (record.app, record.title, record.accounts) == (App.HIGIRL, "团购群", ["6"])


def test_an_outage_only_delays(schema: sqlite3.Connection, path: Path, chats, start):
    scanner = start()
    chats.insert_one(group_document(user={"user_id": 5}))
    away = path.rename(path.with_suffix(".away"))
    with pytest.raises(DirectoryError, match="CHAT_GROUPS_SQL with an error: "):
        read_all(scanner)
    assert not PushRecord.objects.exists()
    away.rename(path)
    assert read_all(scanner) == 1


def test_the_check_is_content_with_what_works(schema: sqlite3.Connection):
    assert check_chat_settings() == []


def test_the_check_names_what_is_missing(settings: Settings):
    settings.CHAT_GROUP_DIRECTORY = "chatscan.sqlgroups.SqlGroups"
    settings.CHAT_GROUPS_SQL = "SELECT {ids} {app}"
    errors = check_chat_settings()
    assert {error.id for error in errors} == {"chatscan.E008"}
    assert [error.msg.split()[0] for error in errors] == [
        "DIRECTORY_DATABASE_URL",
        "CHAT_GROUPS_SQL",
        "CHAT_GROUP_MEMBERS_SQL",
    ]
