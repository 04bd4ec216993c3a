"""What a long-running process tells the garbage collector; in a process of its own, since it lasts."""

import subprocess
import sys

PROGRAM = """
import gc
from pushes.workers import garbage
garbage.settle()
print(gc.get_freeze_count() > 1_000, gc.get_threshold()[0], gc.isenabled())
"""


def test_what_is_loaded_is_set_aside_and_the_collector_goes_on():
    shown = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["True", "20000", "True"]
