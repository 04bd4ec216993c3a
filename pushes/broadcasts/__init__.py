"""One message to many devices: launch, expansion, canary, watch, pause, end."""
