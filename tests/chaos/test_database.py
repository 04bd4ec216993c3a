"""MariaDB dies, and comes back with what it had committed."""

import pytest

from tests.chaos.case import Case
from tests.chaos.databases import MariaDb
from tests.chaos.producers import Plan
from tests.chaos.world import World

pytestmark = pytest.mark.chaos


def test_a_killed_database_loses_and_doubles_nothing(mariadb_world: World, mariadb: MariaDb, seed: int) -> None:
    world = mariadb_world
    case = Case(world, "database", Plan(system=600, seconds=3), seed, latency_ms=20)
    case.restart_mariadb(mariadb)
    verdict = case.run()
    assert verdict.faults == {}, world.family.logs()
    assert verdict.audit.numbers["records"] == 600
