"""The demo's director: seed, wait until every process is ready, then play. `./push.sh demo` starts it."""

import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

import requests
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from chatscan.models import ScannerPosition
from higo_push.demo import crowd, evidence, report, scenario, shoppers
from higo_push.demo.producers import Surroundings
from higo_push.demo.seed import OPERATOR, seed_keys, seed_operator, seed_people
from pushes.broadcasts import lifecycle
from pushes.models import Broadcast

READY_SECONDS = 60
SETTLE_SECONDS = 60
# Long enough for a duplicate to show itself.
QUIET_SECONDS = 2.0


class Command(BaseCommand):
    help = "Plays the demo on a stage that ./push.sh demo has built."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true")
        parser.add_argument("--quiet", action="store_true")
        parser.add_argument("--web-url", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        surroundings = Surroundings(settings.REDIS_URL, settings.MONGO_URL)
        try:
            if options["once"]:
                self._play_once(surroundings, options["web_url"])
            else:
                self._play_on(surroundings, options["web_url"], options["quiet"])
        finally:
            surroundings.close()

    def _play_once(self, surroundings: Surroundings, web_url: str) -> None:
        seed_people(scenario.PEOPLE)
        self._open(web_url)
        began = time.monotonic()
        feed(surroundings)
        settled = wait_for(evidence.is_settled, SETTLE_SECONDS)
        seconds = time.monotonic() - began
        time.sleep(QUIET_SECONDS)
        checks = evidence.checks(settings.SANDBOX_URL)
        url = settings.SANDBOX_URL
        for rows in (report.stages(url), report.channels(url), report.refusals(), report.dead_letters()):
            self.stdout.write(report.table(rows))
        self.stdout.write("\n".join(report.verdict_lines(checks)))
        if not settled:
            raise CommandError(f"the scenario was not finished after {SETTLE_SECONDS} s")
        if any(check.differences for check in checks):
            raise CommandError("the scenario did not go as it must")
        self.stdout.write(f"all as it must be; played in {seconds:.1f} s")

    def _play_on(self, surroundings: Surroundings, web_url: str, is_quiet: bool) -> None:
        password = seed_operator()
        seed_people(crowd.PEOPLE)
        self._open(web_url)
        self.stdout.write(
            f"\n  admin     {web_url}/admin/   user {OPERATOR}, password {password}"
            f"\n  phones    {settings.SANDBOX_URL}/\n\n  Ctrl-C stops everything.\n"
        )
        self.stdout.flush()
        if is_quiet:
            shoppers.rest()
        shoppers.play(surroundings, self._tell)

    def _tell(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _open(self, web_url: str) -> None:
        """Wait for the sandbox, the web process and both scanners; then register our keys with the sandbox."""
        wait_until("the sandbox", lambda: answers(f"{settings.SANDBOX_URL}/_sandbox/stats"))
        seed_keys(settings.SANDBOX_URL)
        wait_until("the web process", lambda: answers(f"{web_url}/admin/login/"))
        # A first start begins at the newest message: what is said before it would not be pushed.
        wait_until("both scanners", lambda: ScannerPosition.objects.count() == 2)


def feed(surroundings: Surroundings) -> None:
    """Produce every event of the fixed scenario."""
    for person in scenario.PEOPLE:
        surroundings.set_presence(person, is_online=person.is_online)
    good, bad = list(scenario.orders()), list(scenario.malformed())
    half = len(good) // 2
    surroundings.push_raw(raw.data for raw in [*good[:half], *bad, *good[half:]])
    for chat in scenario.chats():
        surroundings.say(chat)
    push = scenario.BROADCAST
    made = Broadcast.objects.create(title="活动", text=push.shows, app=push.app, push_type=push.push_type)
    lifecycle.launch(made.pk)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def wait_until(name: str, is_so: Callable[[], bool]) -> None:
    """Wait until the condition holds. Raises CommandError after too long a time."""
    if not wait_for(is_so, READY_SECONDS):
        raise CommandError(f"waited {READY_SECONDS} s for {name}")


def wait_for(is_so: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.2)
    return False
