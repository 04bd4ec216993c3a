"""One message to many: from its launch over its canary to its end."""
