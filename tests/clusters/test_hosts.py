"""One round of `bench hosts` on the smallest set-up: two hosts of ours, one of each server."""

import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from higo_push.running import embedded
from tests.clusters.fleet import Shape, running_fleet
from tests.clusters.host_faults import cut_off, wrong_clock_environment
from tests.clusters.trial import Finding, Load, table_of, try_fault
from tests.needs import needs

pytestmark = pytest.mark.chaos

SHAPE = Shape(apps=2, members=1, processes=("intake", "workers-system", "sweeper"))
LOAD = Load(system=40, group=0, private=0, before=(0.5, 1.0), after=0.5)


def test_a_host_that_is_cut_off_loses_and_doubles_nothing() -> None:
    needs("namespaces")
    needs("mariadbd")
    needs("redis-sentinel")
    dice = random.Random(random.randrange(2**32))
    with embedded.temporary_folder() as folder, running_fleet(folder, SHAPE) as fleet:
        fault = replace(cut_off(fleet, dice), seconds=3.0)
        found = try_fault(fleet, fault, "cut", dice, LOAD)
        assert (found.lost, found.doubled, found.others) == (0, 0, {}), fleet.family.logs()
        assert found.pushes == LOAD.plan(fault).system
        assert found.take_over_seconds >= 0.1
        assert found.is_goal_met, found


@pytest.mark.parametrize("ahead", [-600, 300])
def test_a_wrong_clock_changes_the_time_and_no_sleep(tmp_path: Path, ahead: int) -> None:
    needs("faketime")
    code = "import time; a = time.monotonic(); time.sleep(0.2); print(time.time(), time.monotonic() - a)"
    seen = {**os.environ, **wrong_clock_environment(tmp_path, ahead)}
    done = subprocess.run([sys.executable, "-c", code], env=seen, capture_output=True, text=True, check=True)
    wall, slept = map(float, done.stdout.split())
    assert wall - time.time() == pytest.approx(ahead, abs=5)
    assert 0.2 <= slept < 5


def finding(what: str, **more: object) -> Finding:
    numbers = {"pushes": 1_000, "lost": 0, "doubled": 0, "unknown": 0, "take_over_seconds": 2.0, "restarts": 0}
    return Finding(**{"what": what, "how": "", "others": {}, **numbers, **more})  # type: ignore[arg-type]


def test_the_table_has_a_line_for_each_fault_and_hides_no_missed_goal() -> None:
    findings = [
        finding("cut", take_over_seconds=31.0),
        finding("slow", how="netem", unknown=2),
        finding("cut"),
        finding("frozen", lost=1),
        finding("killed", others={"failed": 3}),
    ]
    lines = [list(line.values()) for line in table_of(findings)]
    assert lines == [
        ["cut", "2", "2,000", "0", "0", "0", "none", "31.0", "**no**"],
        ["slow (netem)", "1", "1,000", "0", "0", "2", "none", "2.0", "yes"],
        ["frozen", "1", "1,000", "1", "0", "0", "none", "2.0", "**no**"],
        ["killed", "1", "1,000", "0", "0", "0", "failed", "2.0", "**no**"],
    ]
