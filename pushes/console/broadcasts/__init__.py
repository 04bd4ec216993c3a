"""Compose, review, test, send, watch and stop a broadcast."""
