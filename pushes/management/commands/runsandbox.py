"""Run the sandbox provider."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from pushes import vault
from pushes.models import AppKey
from pushes.names import WITH_ACCESS_IDS
from pushes.sandbox import server
from pushes.sandbox.faults import PROFILES, Faults, Profile
from pushes.sandbox.keys import AccessId, KeyRing
from pushes.sandbox.store import DEFAULT_KEEP, Received
from pushes.sandbox.world import CODE_SETS, LEGACY, World

MAX_PORT = 65_535


def key_argument(text: str) -> tuple[int, str]:
    """`ACCESS_ID:SECRET`; the value is not repeated in an error, since it holds a secret."""
    access_id, colon, secret = text.partition(":")
    if not colon or not secret or not access_id.isdigit():
        raise ArgumentTypeError("write a key as ACCESS_ID:SECRET, the access id in digits")
    return int(access_id), secret


def load_keys() -> list[tuple[AccessId, str]]:
    """Return the access ids and sealed secrets of the AppKey table, without those that cannot be decrypted."""
    keys: list[tuple[AccessId, str]] = []
    try:
        for key in AppKey.objects.all():
            try:
                access_id = int(key.access_id) if key.channel in WITH_ACCESS_IDS else key.access_id
                keys.append((access_id, key.credentials().secret))
            except vault.SecretUnreadableError:
                continue
    finally:
        # It runs in a thread that may not come back: no connection stays behind.
        connections.close_all()
    return keys


class Command(BaseCommand):
    help = "Run the sandbox: an HTTP server that speaks every provider's protocol, and shows what phones would receive."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8790, help="0 picks a free port (default: 8790)")
        parser.add_argument(
            "--tls-port", type=int, help="also serve HTTPS, with a certificate made now; 0 picks a free port"
        )
        parser.add_argument("--latency-ms", type=float, default=0.0, help="delay of every response")
        parser.add_argument("--profile", choices=PROFILES, default="ok", help="the fault profile to start with")
        parser.add_argument(
            "--codes", choices=CODE_SETS, default=LEGACY, help="which set of return codes Xinge v2 uses"
        )
        parser.add_argument("--key", type=key_argument, action="append", default=[], metavar="ACCESS_ID:SECRET")
        parser.add_argument("--keep", type=int, default=DEFAULT_KEEP, help="how many received pushes to remember")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["latency_ms"] < 0:
            raise CommandError(f"--latency-ms={options['latency_ms']}: it cannot be negative")
        for name in ("port", "tls_port"):
            if options[name] is not None and not 0 <= options[name] <= MAX_PORT:
                flag = name.replace("_", "-")
                raise CommandError(f"--{flag}={options[name]}: it must lie between 0 and {MAX_PORT}")
        if options["keep"] < 1:
            raise CommandError(f"--keep={options['keep']}: it must be at least 1")

        def make_world() -> World:
            return World(
                KeyRing(dict(options["key"]), load_keys),
                Received(options["keep"]),
                Faults(Profile(name=options["profile"])),
                options["latency_ms"],
                options["codes"],
            )

        try:
            server.run(make_world, options["host"], options["port"], self._announce, tls_port=options["tls_port"])
        except OSError as error:
            ports = " or ".join(str(options[name]) for name in ("port", "tls_port") if options[name] is not None)
            raise CommandError(f"cannot listen on {options['host']}:{ports}: {error}") from None

    def _announce(self, address: str) -> None:
        self.stdout.write(f"sandbox listening on {address}")
        self.stdout.flush()
