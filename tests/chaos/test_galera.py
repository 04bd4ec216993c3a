"""A Galera cluster whose nodes die and come back, with the platform's processes spread over them."""

import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import run

import pytest

from higo_push.env import BASE_DIR
from higo_push.running import embedded, processes
from tests.chaos.case import Case, Verdict
from tests.chaos.conftest import is_mariadb_run
from tests.chaos.databases import DRIVER, MariaDbDatabase, find
from tests.chaos.producers import Plan
from tests.chaos.world import World, running_world
from tests.clusters.galera import Galera, GaleraDatabase, running_galera
from tests.clusters.hosts import loopback
from tests.needs import needs

pytestmark = pytest.mark.chaos

NAME = "higo_chaos"
#: The nodes of each process, in its order.
ORDERS = {"intake": (1, 0, 2), "workers-system": (0, 1, 2), "workers-system-2": (1, 2, 0), "sweeper": (2, 0, 1)}
#: A dead node is noticed sooner than by default (5 s), so that the tests are short.
SOON = "evs.keepalive_period=PT0.5S;evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S"
MAX_SECONDS = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Galera]:
    if not is_mariadb_run():
        pytest.skip("the run is not on MariaDB")
    needs("galera")
    with embedded.temporary_folder() as folder, running_galera(folder, loopback(3), options=SOON) as made:
        yield made


@pytest.fixture(scope="module")
def spread_world(cluster: Galera) -> Iterator[World]:
    """Its processes begin on different nodes."""
    own = {name: {"DATABASE_URL": cluster.url(*order, database=NAME)} for name, order in ORDERS.items()}
    database = GaleraDatabase(cluster, NAME)
    with (
        embedded.temporary_folder() as folder,
        running_world(folder, database, processes=tuple(ORDERS), own=own) as made,
    ):
        yield made


def assert_kept(verdict: Verdict, world: World, records: int) -> None:
    assert verdict.faults == {}, world.family.logs()
    assert verdict.audit.numbers["records"] == records
    assert verdict.seconds_to_end <= MAX_SECONDS


def test_the_others_go_on_without_a_killed_node(spread_world: World, cluster: Galera, seed: int) -> None:
    case = Case(spread_world, "node", Plan(system=400, seconds=3), seed, latency_ms=20)
    case.hurt_database("kill a node", cluster.nodes[0].kill)
    assert_kept(case.run(), spread_world, 400)
    cluster.nodes[0].start()


def test_a_node_may_join_with_a_copy_of_everything(spread_world: World, cluster: Galera, seed: int) -> None:
    joining = cluster.nodes[1]
    joining.kill()
    joining.forget()
    case = Case(spread_world, "join", Plan(system=600, seconds=6), seed, latency_ms=20)
    case.hurt_database("join", joining.spawn)
    assert_kept(case.run(), spread_world, 600)
    joining.wait_until_ready()


def test_a_lost_majority_stops_everything_and_loses_nothing(spread_world: World, cluster: Galera, seed: int) -> None:
    def lose_and_recover() -> None:
        for node in cluster.nodes[1:]:
            node.kill()
        while cluster.nodes[0].is_ready():
            spread_world.pause(0.5)
        cluster.recover()

    case = Case(spread_world, "quorum", Plan(system=400, seconds=3), seed, latency_ms=20)
    case.hurt_database("lose the majority", lose_and_recover)
    assert_kept(case.run(), spread_world, 400)


def test_haproxy_leads_to_a_node_that_is_synced(cluster: Galera, tmp_path: Path) -> None:
    needs("haproxy")
    port, haproxy = processes.free_port(), find("haproxy") or ""
    login, check = tmp_path / "login.cnf", tmp_path / "ready"
    login.write_text("[client]\nuser=root\n")
    check.write_text(f'#!/bin/sh\nGALERA_READY_FILE={login} exec {BASE_DIR}/deploy/galera-ready "$@"\n')
    check.chmod(0o755)
    text = (BASE_DIR / "deploy" / "haproxy.cfg").read_text()
    text = text.replace("127.0.0.1:3307", f"127.0.0.1:{port}").replace("/etc/haproxy/galera-ready", str(check))
    for number, node in enumerate(cluster.nodes, start=1):
        text = text.replace(f"10.0.0.{number}:3306", f"{node.host.address}:{node.port}")
    settings = tmp_path / "haproxy.cfg"
    settings.write_text(text)
    assert run([haproxy, "-c", "-f", settings], check=False, capture_output=True).returncode == 0
    with (tmp_path / "log").open("wb") as log:
        proxy = processes.start([haproxy, "-db", "-f", settings], log=log)
    try:
        assert named_through(port, unlike="") == "host1"
        cluster.nodes[0].kill()
        assert named_through(port, unlike="host1") == "host2"
    finally:
        processes.stop(proxy)
    cluster.nodes[0].start()


def named_through(port: int, *, unlike: str) -> str:
    """The name of the node that the proxy leads to, as soon as it is another one."""
    deadline = time.monotonic() + MAX_SECONDS
    while time.monotonic() < deadline:
        try:
            [(name,)] = MariaDbDatabase(f"mysql://root@127.0.0.1:{port}", "").rows("SELECT @@wsrep_node_name")
        except DRIVER.Error:
            name = unlike
        if name != unlike:
            return str(name)
        time.sleep(0.2)
    return ""
