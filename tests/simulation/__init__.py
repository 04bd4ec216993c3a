"""A simulation of the platform that replays: real code over a simulated clock, network, Redis and scheduler.

scheduler   processes as greenlets that take turns; the simulated time; the seed's dice
faults      which harm the seed has in store, and when it strikes
database    SQLite in memory: real statements, each of which is a place where another process may go on
redis_server  queues and leases
network     the provider: what reached it, and what it answered
world       one schedule: the parts wired together, and the processes' loops
invariants  what has to be true at the end, whatever happened
planted     faults put into the real code, which the simulation has to find
"""
