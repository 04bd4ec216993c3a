"""Several database nodes in DATABASE_URL: which of them a process takes."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection

from higo_push import database_url
from tests.needs import needs

pytestmark = pytest.mark.mariadb
WAITS = database_url.Waits(connect=5, answer=20, lock=8, command_answer=7_200)
ONE, TWO, THREE = NODES = [("one", 3306), ("two", 3306), ("three", 3306)]
READY = {"wsrep_on": "ON", "wsrep_ready": "ON", "wsrep_local_state": "4"}


class Node:
    """A connection to a node that answers with these variables."""

    def __init__(self, said: dict[str, str]) -> None:
        self.said, self.queries = said, list[str]()

    def cursor(self) -> "Node":
        return self

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, sql: str) -> None: ...

    def fetchall(self) -> list[tuple[str, str]]:
        return list(self.said.items())

    def query(self, sql: str) -> None:
        self.queries.append(sql)

    def close(self) -> None: ...


class Network:
    """What answers at each address; nothing else accepts."""

    def __init__(self, nodes: Any) -> None:
        self._nodes, self.answers, self.asked = nodes, dict[str, dict[str, str]](), list[tuple[str, int]]()

    def connect(self, host: str, _port: int, seconds: int) -> Node:
        self.asked.append((host, seconds))
        if host not in self.answers:
            raise self._nodes.OperationalError(2002, f"no way to {host}")
        return Node(self.answers[host])

    def take(self) -> str:
        """The host that a new connection is to."""
        self.asked.clear()
        self._nodes.connect(NODES, 6, self.connect)
        return self.asked[-1][0]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    needs("mariadb")
    from higo_push.mariadb import nodes

    monkeypatch.setattr(nodes._Process, "chosen", {})
    return Network(nodes)


def test_the_first_that_is_ready_is_taken_and_kept_until_it_fails(network: Network):
    network.answers = {"two": READY, "three": READY}
    assert network.take() == "two"
    network.answers["one"] = READY
    assert network.take() == "two"
    del network.answers["two"]
    assert network.take() == "three"
    network.answers["two"] = READY
    del network.answers["three"]
    assert network.take() == "one"


@pytest.mark.parametrize("change", [{"wsrep_ready": "OFF"}, {"wsrep_local_state": "1"}, {"wsrep_local_state": "3"}])
def test_a_node_that_is_not_ready_is_left_out(network: Network, change: dict[str, str]):
    network.answers = {"one": READY | change, "two": READY}
    assert network.take() == "two"


def test_all_of_them_together_have_the_time_of_one(network: Network):
    network.answers = {"three": READY}
    network.take()
    assert network.asked == [("one", 2), ("two", 3), ("three", 6)]


def test_without_any_the_last_error_is_raised(network: Network):
    from MySQLdb import OperationalError as DriversError

    with pytest.raises(DriversError, match="no way to three"):
        network.take()


def test_statements_on_a_cluster_see_what_any_node_has_committed(network: Network):
    from higo_push.mariadb import nodes

    network.answers = {"one": READY}
    found, is_clustered = nodes.connect([ONE], 5, network.connect)
    assert (found.queries, is_clustered) == ([nodes.CAUSAL], True)


def test_a_single_server_is_left_as_it_is(network: Network):
    from higo_push.mariadb import nodes

    network.answers = {"one": {"wsrep_on": "OFF", "wsrep_ready": "OFF"}}
    found, is_clustered = nodes.connect([ONE], 5, network.connect)
    assert (found.queries, is_clustered) == ([], False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [1213, 1205])
def test_a_statement_that_met_another_transaction_is_repeated(monkeypatch: pytest.MonkeyPatch, number: int):
    needs("mariadb")
    from django.db.backends.mysql import base as mysql
    from MySQLdb import OperationalError as DriversError

    from higo_push.mariadb import base

    tried = []

    def execute(self: Any, query: Any, args: Any = None) -> int:
        tried.append(query)
        if len(tried) == 1:
            raise DriversError(number, "met another")
        return int(self.cursor.execute(query, args))

    monkeypatch.setattr(mysql.CursorWrapper, "execute", execute)
    with connection.cursor() as cursor:
        if number != base.DEADLOCK:
            with pytest.raises(OperationalError):
                cursor.execute("SELECT 1")
            return
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


# --- the setting ------------------------------------------------------------------------------


def test_the_setting_names_them_in_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", "mysql://u:p%40@one:3307,two,[::1]:3308/name?charset=utf8mb4")
    config: Any = database_url.database("DATABASE_URL", "", WAITS)
    assert (config["HOST"], config["PORT"], config["NAME"], config["PASSWORD"]) == ("one", 3307, "name", "p@")
    assert config["OPTIONS"]["nodes"] == [("one", 3307), ("two", 3306), ("::1", 3308)]


def test_one_host_needs_no_choice(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", "mysql://u@one/name")
    config: Any = database_url.database("DATABASE_URL", "", WAITS)
    assert config["OPTIONS"]["nodes"] == []


@pytest.mark.parametrize(
    ("hosts", "said"),
    [("one,,two", "a host is missing"), ("one,", "a host is missing"), ("one,one:3306", "twice"), ("one,t wo", "URL")],
)
def test_hosts_that_cannot_be_meant_are_refused_without_the_password(
    monkeypatch: pytest.MonkeyPatch, hosts: str, said: str
):
    monkeypatch.setenv("DATABASE_URL", f"mysql://u:s3cret@{hosts}/name")
    with pytest.raises(ImproperlyConfigured, match=said) as caught:
        database_url.database("DATABASE_URL", "", WAITS)
    assert "s3cret" not in str(caught.value)
