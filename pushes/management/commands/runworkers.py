"""`manage.py runworkers LANE…`: RQ workers that distribute and send, one or more processes a lane."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from pushes import lanes
from pushes.storage import clocks
from pushes.workers import shards


class Command(BaseCommand):
    help = "Run the workers that distribute and send. Each lane has processes of its own."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("lanes", nargs="+", metavar="LANE", help=f"{', '.join(lanes.LANES)}, or all")
        parser.add_argument("--burst", action="store_true", help="stop when the queues are empty")
        parser.add_argument(
            "--processes",
            type=int,
            default=1,
            metavar="N",
            help="processes per lane (default: 1); they share the lane's shards",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names = list(lanes.LANES) if "all" in options["lanes"] else list(dict.fromkeys(options["lanes"]))
        for name in names:
            if name not in lanes.LANES:
                raise CommandError(f"LANE {name!r}: must be one of {', '.join(lanes.LANES)}, or all")
        if options["processes"] < 1:
            raise CommandError(f"--processes {options['processes']}: it must be at least 1")
        if not settings.REDIS_URL:
            raise CommandError("REDIS_URL is not set; workers need the Redis server that holds the queues.")
        clocks.warn()
        shards.run(names, processes=options["processes"], burst=options["burst"])
