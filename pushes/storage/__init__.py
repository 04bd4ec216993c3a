"""Storage below and beside the ORM: bulk writes, look-ups by many keys, clocks, outages, the Redis client."""
