"""A deployment without a stop, and the way back, under load: the last release and this one side by side on one database
and one Redis, and every process replaced one after the other."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from higo_push.env import BASE_DIR
from higo_push.running import embedded, programs
from tests.chaos.case import Case
from tests.chaos.conftest import NAME, is_mariadb_run
from tests.chaos.databases import MariaDb, MariaDbDatabase, SqliteDatabase
from tests.chaos.producers import Plan
from tests.chaos.world import World, running_world
from tests.upgrade.release import unpacked

pytestmark = pytest.mark.chaos

#: One of each kind.
PROCESSES = ("intake", "workers-system", "workers-private", "scanner-private", "sweeper")
#: The supervisor kills after so many seconds.
STOP_SECONDS = {program.name: program.stop_seconds for program in programs.programs()}


@pytest.fixture
def old_release(tmp_path: Path) -> Path:
    return unpacked(tmp_path / "last_release")


@pytest.fixture
def old_world(request: pytest.FixtureRequest, old_release: Path) -> Iterator[World]:
    """A world as the last release has left it: its schema, its processes."""
    with embedded.temporary_folder() as folder:
        if not is_mariadb_run():
            with running_world(
                folder, SqliteDatabase(folder / "old.sqlite3"), processes=PROCESSES, home=old_release
            ) as made:
                yield made
            return
        url = os.environ["DATABASE_URL"] if MariaDb.missing() else request.getfixturevalue("mariadb").url
        own = MariaDbDatabase(url, f"{NAME}_old")
        own.create()
        with running_world(folder, own, processes=PROCESSES, home=old_release) as made:
            yield made
        own.drop()


def test_a_deployment_and_the_way_back_lose_double_and_doubt_nothing(
    old_world: World, old_release: Path, seed: int
) -> None:
    plan = Plan(system=2_400, private=1_200, seconds=120, ends_with_harm=True)
    case = Case(old_world, "deployment", plan, seed, latency_ms=30)
    case.deploy(BASE_DIR, at=1, migrates=True)
    case.deploy(old_release, at=2)
    verdict = case.run()
    assert verdict.faults == {}, old_world.family.logs()
    assert verdict.audit.numbers.get("unknown", 0) == 0
    assert verdict.restarts == 0
    assert verdict.audit.numbers["records"] > 100
    print("seconds to stop:", {name: [round(one, 2) for one in found] for name, found in case.stop_seconds.items()})
    assert {name: len(found) for name, found in case.stop_seconds.items()} == dict.fromkeys(PROCESSES, 2)
    assert [name for name, found in case.stop_seconds.items() if max(found) > STOP_SECONDS[name]] == []
