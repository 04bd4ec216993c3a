"""Settings as they are written: somebody else's database, URLs with passwords, the .env file."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import certifi
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections

from higo_push import database_url, env, env_file
from pushes.names import Channel
from tests.environment import PROJECT
from tests.foreign import attached

VARIABLE = "DIRECTORY_DATABASE_URL"
WAITS = database_url.Waits(connect=5, answer=20, lock=8, command_answer=7_200)
PUSH_SH = PROJECT / "push.sh"
SETTING = re.compile(r"^setting\(\) \{.*?^\}", re.DOTALL | re.MULTILINE)


@pytest.mark.django_db(transaction=True)
def test_it_is_read_and_never_written(process_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """Our own test database stands for it, on whichever server the tests run."""
    with attached(process_environment["DATABASE_URL"], monkeypatch), connections["directory"].cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pushes_device")
        assert cursor.fetchone() == (0,)
        with pytest.raises(DatabaseError):
            cursor.execute("DELETE FROM pushes_device")


def test_a_file_is_opened_by_its_whole_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path}/a b.sqlite3")
    assert database_url.foreign_database(VARIABLE)["NAME"] == f"file://{tmp_path}/a%20b.sqlite3?mode=ro"


def test_a_server_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "mysql://reader:secret@10.0.0.5:3306/higo")
    config = database_url.foreign_database(VARIABLE)
    options = config["OPTIONS"]
    assert isinstance(options, dict)
    assert (config["HOST"], config["NAME"], config["USER"]) == ("10.0.0.5", "higo", "reader")
    assert (options["connect_timeout"], options["read_timeout"]) == (5, 15)


def test_another_kind_of_database_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "postgres://reader:secret@10.0.0.5/higo")
    with pytest.raises(ImproperlyConfigured, match=r"DIRECTORY_DATABASE_URL='postgres:…'") as caught:
        database_url.foreign_database(VARIABLE)
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
        "0x7f.1",
        "127.0x1",
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


@pytest.mark.parametrize("is_command", [False, True])
def test_a_service_never_waits_long_and_a_command_may(monkeypatch: pytest.MonkeyPatch, is_command: bool):
    monkeypatch.setenv("DATABASE_URL", "mysql://u@h/d")
    monkeypatch.setattr(env.Process, "is_command", is_command)
    options: Any = database_url.database("DATABASE_URL", "", WAITS)["OPTIONS"]
    assert (options["connect_timeout"], options["read_timeout"]) == (5, 7_200 if is_command else 20)
    assert options["write_timeout"] == options["read_timeout"]
    assert "innodb_lock_wait_timeout=8, lock_wait_timeout=8" in options["init_command"]
    assert ("idle_transaction_timeout=20" in options["init_command"]) is not is_command


# --- passwords in URLs, and how values are written --------------------------------------------

SECRET = "s3cr3t-part"
#: With something in the password that an URL reads otherwise.
TORN = [f"{SECRET}{mark}rest" for mark in "/?#"] + [f"77/{SECRET}", f"#{SECRET}", f"{SECRET}[rest", f"{SECRET}/a@b"]
URLS = {
    "DATABASE_URL": "mysql://user:{}@127.0.0.1:3306/higo",
    "DIRECTORY_DATABASE_URL": "mysql://user:{}@127.0.0.1:3306/higo",
    "REDIS_URL": "redis://:{}@127.0.0.1:6379/0",
    "SENTINELS_URL": "redis+sentinel://:{}@127.0.0.1:26379,127.0.0.2:26379/higo/0",
    "MONGO_URL": "mongodb://user:{}@127.0.0.1:27017,127.0.0.2:27018/higo",
    "SANDBOX_URL": "http://user:{}@127.0.0.1:8790",
}
READERS: dict[str, Callable[[str], object]] = {
    "DATABASE_URL": lambda name: database_url.database(name, "", WAITS),
    "DIRECTORY_DATABASE_URL": database_url.foreign_database,
    "REDIS_URL": lambda name: env.url(name, "", env.REDIS_SCHEMES),
    "SENTINELS_URL": lambda name: env.url(name, "", env.REDIS_SCHEMES),
    "MONGO_URL": lambda name: env.url(name, "", env.MONGO_SCHEMES),
    "SANDBOX_URL": lambda name: env.url(name, "", ("http", "https")),
}


@pytest.mark.parametrize("name", URLS)
@pytest.mark.parametrize("password", TORN)
def test_a_password_that_tears_an_url_is_told_without_any_of_it(
    name: str, password: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, URLS[name].format(password))
    with pytest.raises(ImproperlyConfigured) as caught:
        READERS[name](name)
    said = str(caught.value)
    assert said.startswith(f"{name} cannot be used")
    assert "%2F" in said
    assert "\n" not in said
    assert not any(part in said for part in (SECRET, "rest", "77", "user:s"))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("password", ["a@b", "a:b", "a%b", "a%zz"])
def test_mongodbs_own_rules_for_passwords_are_told_at_once(password: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MONGO_URL", URLS["MONGO_URL"].format(password))
    with pytest.raises(ImproperlyConfigured, match="MONGO_URL cannot be used"):
        READERS["MONGO_URL"]("MONGO_URL")


@pytest.mark.parametrize("password", ["s3cret", "a%2Fb%3Fc%23d%40e%3Af%25", "a@b", "a:b", "a+b"])
def test_a_password_that_can_be_read_in_one_way_is_taken(password: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", URLS["DATABASE_URL"].format(password))
    config = database_url.database("DATABASE_URL", "", WAITS)
    assert (config["PASSWORD"], config["HOST"], config["NAME"]) == (unquote(password), "127.0.0.1", "higo")


@pytest.mark.parametrize(
    "value",
    [
        *(
            "redis://localhost",
            "redis://:pw@[::1]:6379/0",
            "rediss://u:p@redis.example.com:6380",
            "unix:///run/r.sock?db=1",
        ),
        *("unix://:pw@/run/redis.sock", "redis:///0"),
    ],
)
def test_urls_that_are_right_stay_as_they_are(value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REDIS_URL", f" '{value}'  # ours ")
    assert env.url("REDIS_URL", "", env.REDIS_SCHEMES) == value


@pytest.mark.parametrize(
    "value",
    [
        "redis+sentinel://h:port/m",
        "redis+sentinel://a,,b/m",
        "redis+sentinel:///m",
        "redis://h:port",
        "redis://h:0",
        "redis://h:65536",
        "redis://a b",
        f"{SECRET}@h",
        SECRET,
    ],
)
def test_what_is_no_url_is_refused_without_repeating_it(value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REDIS_URL", value)
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL cannot be used") as caught:
        env.url("REDIS_URL", "", env.REDIS_SCHEMES)
    assert SECRET not in str(caught.value)


WRITTEN = {
    "A=1": "1",
    "A=1  ": "1",
    "A = 1": "1",
    "  export   A=1": "1",
    "A=1 # one": "1",
    "A=1\t#one": "1",
    "A=1#2": "1#2",
    "A= # nothing": "",
    "A=#1": "#1",
    "A='1 # 2'": "1 # 2",
    'A="1 # 2"  # three': "1 # 2",
    "A='1' # 2": "1",
    "A='it''s'": "'it''s'",
    r"""A="p\"w\\x\n" # two""": r"""p"w\x\n""",
    'A="1"2"': '"1"2"',
    "A=1\r": "1",
    "A=1\nA=2": "2",
    "\ufeffA=1": "1",
    "#A=2\nA=1\n # A=3": "1",
    "AA=2\nA=1": "1",
    "A=": "",
    "": None,
}


def setting() -> str:
    """The shell's reader, out of push.sh."""
    found = SETTING.search(PUSH_SH.read_text())
    assert found
    return found[0]


@pytest.mark.parametrize("content", WRITTEN)
def test_the_env_file_is_read_alike_by_python_and_by_the_shell(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "settings.env"
    file.write_text(content + "\n", newline="")
    monkeypatch.delenv("A", raising=False)
    env_file.read(file)
    read = os.environ.get("A")
    script = f"{setting()}\nset -euo pipefail; printf '<%s>' \"$(setting A)\""
    monkeypatch.delenv("A", raising=False)
    shell = subprocess.run(
        ["bash", "-c", script], env={"ENV_FILE": str(file)}, capture_output=True, text=True, check=True
    )
    assert (read, shell.stdout) == (WRITTEN[content], f"<{WRITTEN[content] or ''}>")


@pytest.mark.parametrize("value", ["1 # one", "'1'", '"1"', " 1 "])
def test_the_environment_is_read_alike_too(value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("A", value)
    script = f"{setting()}\nprintf '<%s>' \"$(setting A)\""
    shell = subprocess.run(["bash", "-c", script], env={"A": value}, capture_output=True, text=True, check=True)
    assert (env.integer("A", 0), shell.stdout) == (1, "<1>")


def test_what_the_environment_sets_wins_even_when_it_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "settings.env"
    file.write_text("A=1\n")
    monkeypatch.setenv("A", "")
    env_file.read(file)
    script = f"{setting()}\nprintf '<%s>' \"$(setting A)\""
    environment = {"A": "", "ENV_FILE": str(file)}
    shell = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert (os.environ["A"], shell.stdout) == ("", "<>")


def test_a_line_that_sets_nothing_is_told_by_its_number_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    file = tmp_path / "settings.env"
    file.write_text(f"# settings\nSECRET {SECRET}\n")
    env_file.read(file)
    assert [record.getMessage() for record in caplog.records] == [
        "settings.env, line 2: ignored, because it is not NAME=value"
    ]


# --- an order -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "read"),
    [("", ["a", "b", "c"]), ("c", ["c", "a", "b"]), (" c , b", ["c", "b", "a"]), ("a,b,c", ["a", "b", "c"])],
)
def test_what_an_order_does_not_name_comes_last(monkeypatch: pytest.MonkeyPatch, value: str, read: list[str]):
    monkeypatch.setenv("ORDER", value)
    assert env.order("ORDER", "a,b,c") == read


@pytest.mark.parametrize("value", ["d", "a,d", "a,a", "A"])
def test_what_is_not_in_the_order_or_twice_is_refused(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("ORDER", value)
    with pytest.raises(ImproperlyConfigured, match="ORDER"):
        env.order("ORDER", "a,b,c")


def test_the_order_of_channels_names_each(settings: Any):
    assert sorted(settings.CHANNEL_PREFERENCE) == sorted(Channel.values)


CA_FILE = "PROVIDER_CA_FILE"


def test_a_file_of_certificate_authorities(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv(CA_FILE, raising=False)
    assert env.certificate_file(CA_FILE, or_else="SSL_CERT_FILE") == ""
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    assert env.certificate_file(CA_FILE, or_else="SSL_CERT_FILE") == certifi.where()


@pytest.mark.parametrize("name", [CA_FILE, "SSL_CERT_FILE"])
@pytest.mark.parametrize("path", [__file__, "/no/such/file.pem", "/"])
def test_a_file_without_certificates_is_named(monkeypatch: pytest.MonkeyPatch, name: str, path: str):
    monkeypatch.delenv(CA_FILE, raising=False)
    monkeypatch.setenv(name, path)
    with pytest.raises(ImproperlyConfigured, match=f"^{name}='"):
        env.certificate_file(CA_FILE, or_else="SSL_CERT_FILE")
