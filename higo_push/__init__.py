"""The project: settings, web server and command line.

Whatever its processes load at their start stays: Python's own garbage collector would look through it three hundred
times meanwhile, a seventh of the CPU of a start.
"""

import gc

#: Objects made before the youngest are looked through, and such looks before the older ones are.
gc.set_threshold(20_000, 20, 20)
