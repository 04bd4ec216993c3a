"""App keys: check, gate, rotation, pausing, and whether the provider's word on a token is believed."""
