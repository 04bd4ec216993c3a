"""`manage.py runsweeper`: every few seconds, put back what is due."""

import logging
import signal
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import close_old_connections
from redis import RedisError

from pushes.distribution import grace
from pushes.storage import clocks
from pushes.upkeep.sweep import sweep
from pushes.workers import pulse

log = logging.getLogger(__name__)

THOROUGH_ROUNDS = 15
#: How long somebody may have been offline before a chat push that waited for them goes.
READER_SECONDS = 0.5


class Command(BaseCommand):
    help = "Requeue due retries, expired claims, stuck records and due broadcasts; expire pushes and delete old rows."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="run one round, print what it did and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.REDIS_URL:
            raise CommandError("REDIS_URL is not set; the sweeper needs the Redis server that holds the queues.")
        if options["once"]:
            swept = sweep()
            self.stdout.write(str(swept) if swept else "another sweeper is running; nothing was done")
            return
        clocks.warn()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        with pulse.watched("sweeper"):
            run_until(stop)


def run_until(stop: threading.Event) -> None:
    """Sweep every SWEEP_INTERVAL seconds; a service that is away is waited for."""
    thorough_at, trouble = 0.0, ""
    while not stop.is_set():
        pulse.moved()
        close_old_connections()
        thorough = time.monotonic() >= thorough_at
        try:
            swept = sweep(thorough=thorough)
            trouble = ""
            if thorough:
                thorough_at = time.monotonic() + THOROUGH_ROUNDS * settings.SWEEP_INTERVAL
            if swept and str(swept) != "nothing to do":
                log.info("swept: %s", swept)
        except (RedisError, DatabaseError) as error:
            if str(error) != trouble:
                trouble = str(error)
                log.warning("a round was cut short, trying again: %s", error)
        _rest(stop)


def _rest(stop: threading.Event) -> None:
    """Until the next round; readers who go offline meanwhile are noticed within READER_SECONDS."""
    over_at = time.monotonic() + settings.SWEEP_INTERVAL
    while not stop.wait(max(0.0, min(READER_SECONDS, over_at - time.monotonic()))):
        if time.monotonic() >= over_at:
            return
        try:
            grace.wake_gone()
        except (RedisError, DatabaseError) as error:
            # The next round says so, and tries everything again.
            log.debug("readers' presence could not be checked: %s", error)
