import signal
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from redis import Redis, RedisError

from pushes.inbound.intake import Intake, connect
from pushes.inbound.raw_list import RawList
from pushes.storage import clocks
from pushes.workers import garbage, pulse


class Command(BaseCommand):
    help = "Turn the messages on the raw list hg_message_queue (PHP serialize() or JSON) into pushes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="store what is waiting, print the counts and exit")

    def handle(self, *, once: bool, **_options: Any) -> None:
        if not settings.REDIS_URL:
            raise CommandError("REDIS_URL is not set; the intake needs the Redis server that producers write to.")
        with connect() as client:
            self._run(client, once=once)

    def _run(self, client: Redis, *, once: bool) -> None:
        heartbeat = settings.INTAKE_HEARTBEAT_SECONDS
        intake = Intake(
            RawList(client, heartbeat_seconds=heartbeat),
            batch_size=settings.INTAKE_BATCH,
            beat_seconds=heartbeat / 4,
            recovery_seconds=heartbeat / 2,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: intake.stop())
        clocks.warn()
        garbage.settle()
        if not once:
            with pulse.watched("intake"):
                intake.run()
            return
        try:
            self.stdout.write(str(intake.drain()))
        except (RedisError, DatabaseError) as error:
            raise CommandError(f"Stopped after {intake.counts}; the rest is still in Redis. {error}") from error
