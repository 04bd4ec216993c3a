"""Run `./push.sh demo`: build the stage, let the director play, and remove everything again."""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from django.core.exceptions import ImproperlyConfigured

from higo_push.demo import crowd, scenario, stage
from higo_push.demo.producers import Surroundings
from higo_push.env import BASE_DIR
from higo_push.running import processes
from higo_push.running.embedded import EmbeddedServerError

# In the fixed scenario nothing may wait for a burst to end: every message has its own push.
ONCE = {"COALESCE_SECONDS": "0", "SCAN_INTERVAL": "2"}
ENDLESS = {"SCAN_INTERVAL": "10"}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="./push.sh demo", description="The whole platform on this machine.")
    parser.add_argument("--once", action="store_true", help="play a fixed scenario, check it, exit 0 or 1")
    parser.add_argument("--quiet", action="store_true", help="no simulated shoppers")
    given = parser.parse_args(arguments)
    # Both unwind, so that everything is stopped. A shell starts background jobs with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with stage.built(ONCE if given.once else ENDLESS) as built:
            say(f"servers and database are ready; logs in {built.folder}")
            return play(built, given.once, given.quiet)
    except (EmbeddedServerError, ImproperlyConfigured, stage.StageError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 0


def play(built: stage.Stage, is_once: bool, is_quiet: bool) -> int:
    """Start every process, then the director. The demo ends with the director, or when any other process ends."""
    surroundings = Surroundings(built.environment["REDIS_URL"], built.environment["MONGO_URL"])
    surroundings.make_collections(scenario.GROUPS if is_once else crowd.GROUPS)
    for chat in scenario.before_first_start() if is_once else ():
        surroundings.say(chat)
    surroundings.close()
    built.start_all()
    say(f"{len(built.running)} processes are starting")
    director = start_director(built, is_once, is_quiet)
    try:
        return watch(built, director)
    finally:
        processes.stop(director)


def start_director(built: stage.Stage, is_once: bool, is_quiet: bool) -> "subprocess.Popen[bytes]":
    words = ["playdemo", "--web-url", built.web_url]
    words += ["--once"] if is_once else ["--quiet"] if is_quiet else []
    command = [sys.executable, stage.MANAGE, *words, "--settings", "higo_push.demo.settings"]
    return processes.start(command, environment=built.environment, folder=BASE_DIR)


def watch(built: stage.Stage, director: "subprocess.Popen[bytes]") -> int:
    """Wait for the director and return its exit code. Raises StageError when another process ends first."""
    while director.poll() is None:
        ended = built.ended()
        if ended:
            raise stage.StageError(f"the process {ended[0]} ended:\n{built.log_end(ended[0])}")
        time.sleep(0.2)
    if director.returncode:
        for name in built.running:
            print(f"--- {name}\n{built.log_end(name)}", file=sys.stderr)
    return director.returncode


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
