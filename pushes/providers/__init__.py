"""Providers: one file each. In go credentials, a notification and tokens; out come requests and outcomes.

Nothing here knows models, and only `http` opens a socket.
"""
