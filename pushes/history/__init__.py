"""The history of pushes: what happened to them, and how to find them."""
