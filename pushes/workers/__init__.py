"""Which processes do the work, and how they are woken: queues, shards, threads, and what a worker may run."""
