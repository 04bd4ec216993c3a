"""What producers hand over, to the byte: the raw list, its payloads, orders, and dead letters that are replayed."""
