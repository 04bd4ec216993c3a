"""`python -m bench NAME [options]`: run one benchmark, print its table, write its JSON."""

import importlib
import sys

NAMES = {
    "one_to_one": "distinct system pushes, raw list → accepted and recorded, beside the original",
    "fan_out": "one group message to 500 members, one broadcast to 100,000 devices",
    "overhead": "CPU of all our processes per push, beside one bare requests call; and stage by stage",
    "growth": "throughput and worker memory with 10 k, 100 k and 1 M queued",
    "latency": "submit → provider, idle and at half load",
    "chat": "a group of 10,000; MongoDB insert → provider, doorbell and polling; catching up",
    "chaos": "kills, restarts and provider faults, then the auditor",
    "log_search": "the console's delivery log at 10 million rows, beside a stock ModelAdmin",
    "sandbox": "what the sandbox provider itself can carry",
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        print("usage: python -m bench NAME [options]\n")
        print("\n".join(f"  {name:11} {text}" for name, text in NAMES.items()))
        sys.exit(2)
    module = importlib.import_module(f"bench.{sys.argv.pop(1)}")
    module.main()


main()
