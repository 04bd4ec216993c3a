"""Providers: one file each. They turn credentials, a notification and tokens into requests, and answers into outcomes.

No provider knows the models, and only `http` opens a socket.
"""
