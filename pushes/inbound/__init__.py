"""What producers hand over: the raw list, its payloads, orders, and replayed dead letters."""
