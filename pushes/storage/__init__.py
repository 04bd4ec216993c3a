"""Under the ORM and beside it: bulk writes, look-ups by many keys, clocks, outages, the Redis client."""
