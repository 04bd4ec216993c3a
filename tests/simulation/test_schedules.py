"""Ten thousand schedules: no promise is broken, whatever fails. `python -m bench simulate` runs more of them."""

import pytest

from tests.simulation.world import Simulator

BLOCK, BLOCKS = 500, 20


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_promise_is_broken(simulated: Simulator, block: int):
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        found = simulated.run(seed)
        trace = "\n".join(found.trace)
        again = f"python -m bench simulate --seed {seed} --schedules 1 --trace"
        assert not found.broken, f"{found.broken}\n{trace}\nagain: {again}"
