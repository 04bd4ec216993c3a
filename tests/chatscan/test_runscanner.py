"""`manage.py runscanner`, as a process, with good and bad input."""

import signal

import pytest

from chatscan.models import ScannerPosition
from pushes.models import PushRecord
from tests.chatscan.making import group_document, private_document
from tests.chatscan.processes import run, running, wait_for


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("groups",), "'groups' is not a kind of chat; write group or private"),
        ((), "{group,private}"),
        (("group", "--interval", "0"), "'0' must lie between 0.05 and 3600 seconds"),
        (("group", "--interval", "soon"), "'soon' is not a number of seconds"),
    ],
)
def test_bad_arguments_are_named(process_environment, arguments, words):
    ended = run(process_environment, *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"MONGO_URL": ""}, "MONGO_URL is not set"),
        ({"MONGO_URL": "mongodb://a:b:c@host/x"}, "MONGO_URL cannot be used"),
        ({"MONGO_URL": "mongodb://u:topsecret@127.0.0.1:1/x", "MONGO_TIMEOUT_SECONDS": "0.3"}, "127.0.0.1:1"),
        ({"CHAT_GROUP_FIELDS": "sender=x"}, "CHAT_GROUP_FIELDS names 'sender', which is not a field"),
        ({"CHAT_TYPES": "1"}, "CHAT_TYPES='1' cannot be used: write key=value pairs"),
    ],
)
def test_bad_settings_are_named(process_environment, mongo_db, variables, words):
    ended = run({**process_environment, **variables}, "group", "--once")
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "topsecret" not in ended.stderr


def test_once_without_an_index_fails_with_the_command(mongo_db, process_environment):
    mongo_db.chats.insert_one(group_document())
    ended = run(process_environment, "group", "--once")
    assert ended.returncode == 1
    assert f'db.getSiblingDB("{mongo_db.name}").getCollection("chats").createIndex(' in ended.stderr


def test_once_reads_what_is_there_and_ends(private_chats, process_environment, redis_client):
    assert run(process_environment, "private", "--once").stdout == "private: 0 submitted\n"
    private_chats.insert_many(private_document(str(n)) for n in range(3))
    assert run(process_environment, "private", "--once").stdout == "private: 3 submitted\n"
    assert PushRecord.objects.count() == 3


@pytest.mark.parametrize("arguments", [("--interval", "60"), ("--interval", "60", "--no-doorbell")])
def test_sigterm_ends_it_at_once_and_cleanly(chats, process_environment, redis_client, tmp_path, arguments):
    with running(process_environment, tmp_path / "log", "group", *arguments) as process:
        wait_for(ScannerPosition.objects.filter(mode__in=("doorbell", "polling")).exists, "the start")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    assert ScannerPosition.objects.get().mode == "stopped"
