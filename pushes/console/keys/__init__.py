"""App keys: the grid, the secret, verify, pause, import and compare."""
