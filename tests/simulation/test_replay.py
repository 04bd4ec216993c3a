"""A seed runs again exactly as before: in another process, and with other hashes of texts."""

import os
import subprocess
import sys
from hashlib import blake2b

import pytest

from pushes.sending import transport
from tests.environment import PROJECT
from tests.simulation import faults
from tests.simulation.world import Simulator, Theme

SEEDS = range(4_000, 4_006)


def _digests_elsewhere(seeds: range, hash_seed: str, **options: bool) -> str:
    """Run the seeds in a process of its own."""
    code = (
        "from bench import simulate; simulate.prepare();"
        "from tests.simulation.world import simulator\n"
        f"with simulator(**{options!r}) as here: print(','.join(here.run(seed).digest for seed in {seeds!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout.strip()


def test_a_seed_runs_again_exactly_in_processes_with_other_hashes(simulated: Simulator):
    here = ",".join(simulated.run(seed).digest for seed in SEEDS)

    assert _digests_elsewhere(SEEDS, "1") == here
    assert _digests_elsewhere(SEEDS, "2") == here


def test_the_digest_is_that_of_the_trace(simulated: Simulator):
    found = simulated.run(SEEDS[0])

    assert found.digest == blake2b("\n".join(found.trace).encode(), digest_size=16).hexdigest()
    assert found.digest != simulated.run(SEEDS[1]).digest


def test_this_process_keeps_its_own_connections_to_providers(simulated: Simulator, monkeypatch: pytest.MonkeyPatch):
    """Its window would be dropped unclosed, and reported at some later test's expense."""
    own = object()
    monkeypatch.setattr(transport._connections, "window", own)
    for seed in range(40):
        simulated.run(seed, Theme((faults.HANG, faults.DIE)))
    assert transport._connections.window is own


def test_statements_that_are_remembered_change_nothing(simulated: Simulator):
    """Neither what happens nor in which order: Django's own query sets would do the same."""
    seeds = range(60)
    here = ",".join(simulated.run(seed).digest for seed in seeds)

    assert _digests_elsewhere(seeds, "1", remembers=False) == here
