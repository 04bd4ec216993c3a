"""One message to many: a group message to 500 offline members, a broadcast to 100,000 devices.

Measured from the MongoDB insert (or the launch) to the last recorded acceptance, in device pushes a second;
beside it the original's loop at the same provider latency, one process, one call a push.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator

from pymongo import MongoClient

from bench import harness
from bench.one_to_one import the_original
from bench.scene import Scene, scene
from higo_push.env import BASE_DIR
from higo_push.running import embedded

MEMBERS = 500


def group_message(stage: Scene, client: "MongoClient[dict[str, object]]", number: int) -> float:
    """Seconds from inserting one message to a group of MEMBERS until all but the sender have theirs."""
    stage.expected += MEMBERS
    begun = time.monotonic()
    client[embedded.MONGO_DATABASE]["chats"].insert_one(
        {
            "seq": number,
            "group_id": "g1",
            "createAt": str(int(time.time() * 1_000)),
            "type": "text",
            "data": f"新品到货 {number}",
            "user": {"user_id": "0"},
        }
    )
    stage.wait_until_done(seconds=60)
    return time.monotonic() - begun


def group_rows(latency_ms: int, rounds: int) -> Iterator[dict[str, object]]:
    with embedded.temporary_folder() as folder, embedded.running(embedded.Mongod(folder / "mongod")) as server:
        client: MongoClient[dict[str, object]] = MongoClient(server.url)
        database = client[embedded.MONGO_DATABASE]
        members = [str(number) for number in range(MEMBERS + 1)]
        database["groups"].insert_one(
            {"group_id": "g1", "name": "面膜团", "owner_id": "0", "app": "higo", "members": members}
        )
        database["chats"].create_index([("createAt", 1), ("_id", 1)])
        with (
            scene(
                accounts=MEMBERS + 1,
                latency_ms=latency_ms,
                lanes=("group",),
                intake=False,
                MONGO_URL=f"{server.url}",
                COALESCE_SECONDS="0",
            ) as stage,
            stage.machine.process("runscanner", "group"),
        ):
            time.sleep(5)
            group_message(stage, client, 0)
            for number in range(1, rounds + 1):
                seconds = group_message(stage, client, number)
                their_seconds, their_pushes = the_original(stage, 1, latency_ms)
                yield row(f"group of {MEMBERS}", latency_ms, MEMBERS, seconds, their_pushes / their_seconds)


def broadcast_rows(latency_ms: int, devices: int, workers: int) -> Iterator[dict[str, object]]:
    with scene(accounts=devices, latency_ms=latency_ms, lanes=("broadcast",), workers=workers, intake=False) as stage:
        stage.expected += devices
        begun = time.monotonic()
        launch = "from pushes.broadcasts import lifecycle; from pushes.models import Broadcast; "
        launch += "made = Broadcast.objects.create(title='双十一', text='全场五折', app='higo', canary_percent=0); "
        launch += "lifecycle.launch(made.pk)"
        subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", launch],
            cwd=BASE_DIR,
            env=stage.machine.environment,
            check=True,
        )
        stage.wait_until_done(seconds=600)
        seconds = time.monotonic() - begun
        their_seconds, their_pushes = the_original(stage, 1, latency_ms)
        yield row(f"broadcast to {devices:,}", latency_ms, devices, seconds, their_pushes / their_seconds)


def row(what: str, latency_ms: int, pushes: int, seconds: float, theirs: float) -> dict[str, object]:
    return {
        "what": what,
        "latency ms": latency_ms,
        "seconds": seconds,
        "ours/s": pushes / seconds,
        "original/s": theirs,
        "ratio": pushes / seconds / theirs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench fan_out")
    parser.add_argument("--latency-ms", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5, help="group messages")
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    found = [
        *group_rows(chosen.latency_ms, chosen.rounds),
        *broadcast_rows(chosen.latency_ms, chosen.devices, chosen.workers),
    ]
    harness.table("fan-out: device pushes a second", found)
    harness.write("fan_out", found)


if __name__ == "__main__":
    main()
