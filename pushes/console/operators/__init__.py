"""Operators, roles, their own account, and tokens of the HTTP API."""
