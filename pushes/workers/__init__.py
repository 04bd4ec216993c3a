"""The worker processes, and how they are woken: queues, shards, threads, and which jobs a worker may run."""
