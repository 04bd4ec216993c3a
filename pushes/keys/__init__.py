"""App keys: their check, their gate, their rotation, when they stop, and whether what a provider says is believed."""
