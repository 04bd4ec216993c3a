"""Somebody else's database, as the settings describe it."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections

from higo_push import env
from tests.foreign import attached

VARIABLE = "DIRECTORY_DATABASE_URL"


@pytest.mark.django_db(transaction=True)
def test_it_is_read_and_never_written(process_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """Our own test database stands for it, on whichever server the tests run."""
    with attached(process_environment["DATABASE_URL"], monkeypatch), connections["directory"].cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pushes_device")
        assert cursor.fetchone() == (0,)
        with pytest.raises(DatabaseError, match=r"(?i)read.?only"):
            cursor.execute("DELETE FROM pushes_device")


def test_a_file_is_opened_by_its_whole_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path}/a b.sqlite3")
    assert env.foreign_database(VARIABLE)["NAME"] == f"file://{tmp_path}/a%20b.sqlite3?mode=ro"


def test_a_server_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "mysql://reader:secret@10.0.0.5:3306/higo")
    config = env.foreign_database(VARIABLE)
    options = config["OPTIONS"]
    assert isinstance(options, dict)
    assert (config["HOST"], config["NAME"], config["USER"]) == ("10.0.0.5", "higo", "reader")
    assert (options["connect_timeout"], options["read_timeout"]) == (5, 15)


def test_another_kind_of_database_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "postgres://reader:secret@10.0.0.5/higo")
    with pytest.raises(ImproperlyConfigured, match=r"DIRECTORY_DATABASE_URL='postgres:…'") as caught:
        env.foreign_database(VARIABLE)
    assert "secret" not in str(caught.value)


HOSTS = "PROVIDER_HOSTS"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("", []),
        ("gateway.example.com,127.0.0.1:8790", ["gateway.example.com", "127.0.0.1:8790"]),
        (" Gateway.Example.COM. , [::1]:8790 ,", ["gateway.example.com", "[::1]:8790"]),
        ("https://gateway.example.com:8443", ["https://gateway.example.com:8443"]),
        ("网关.example.com:80,push_gateway", ["xn--d6q013i.example.com:80", "push_gateway"]),
        ("[fd00::5]", ["[fd00::5]"]),
    ],
)
def test_hosts_are_brought_into_one_form(monkeypatch: pytest.MonkeyPatch, value: str, read: list[str]):
    monkeypatch.setenv(HOSTS, value)
    assert env.hosts(HOSTS) == read


@pytest.mark.parametrize(
    "word",
    [
        "gateway.example.com/xg",
        "gateway.example.com:",
        "gateway.example.com:0",
        "gateway.example.com:99999",
        "*.example.com",
        "gate way",
        "::1",
        "[::1",
        "[fe80::xyz]",
        "10.0.0.256",
        "10.0.0.0/8",
        "ftp://gateway.example.com",
        "http://",
    ],
)
def test_what_is_no_host_is_named(monkeypatch: pytest.MonkeyPatch, word: str):
    monkeypatch.setenv(HOSTS, f"gateway.example.com,{word}")
    with pytest.raises(ImproperlyConfigured, match=r"^PROVIDER_HOSTS='") as caught:
        env.hosts(HOSTS)
    assert repr(word) in str(caught.value)


def test_a_password_in_it_is_not_repeated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(HOSTS, "https://user:s3cret@gateway.example.com")
    with pytest.raises(ImproperlyConfigured) as caught:
        env.hosts(HOSTS)
    assert "s3cret" not in str(caught.value)
