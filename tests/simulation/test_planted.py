"""The simulation finds faults that are put into the real code: each within a bounded number of schedules."""

import pytest

from tests.simulation.planted import PLANTED, Planted, plant
from tests.simulation.world import Simulator

MAX_SCHEDULES = 150


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_the_simulation_finds(simulated: Simulator, fault: Planted):
    with plant(fault):
        assert any(simulated.run(seed, fault.theme).broken for seed in range(MAX_SCHEDULES)), fault.name


def test_a_fault_whose_text_is_gone_is_no_fault():
    gone = PLANTED[0]._replace(old="this text is nowhere")
    with pytest.raises(ValueError, match="0 times"), plant(gone):
        pass
