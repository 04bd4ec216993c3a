"""Jobs that somebody else has put into Redis, who may write there and knows RQ: none of them may run or do harm.

`PLANTS` has them by name. Each is given a client, the name of a queue and a folder, in which a job that does run
leaves a file.
"""

import json
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis import Redis

SEND = "pushes.jobs.send"
NOW = "2026-01-01T00:00:00.000000Z"
Plant = Callable[[Redis, str, Path], object]


def put(client: Redis, queue: str, call: object, **fields: Any) -> str:
    """A job as RQ would have stored it, with `call` in JSON and these fields; and its entry in the queue."""
    return put_raw(client, queue, zlib.compress(json.dumps(call).encode()), **fields)


def put_raw(client: Redis, queue: str, data: bytes | None, *, job_id: str = "", **fields: Any) -> str:
    job_id = job_id or str(uuid4())
    stored: dict[str, Any] = {
        "created_at": NOW,
        "enqueued_at": NOW,
        "origin": queue,
        "status": "queued",
        "timeout": "600",
    }
    stored |= {} if data is None else {"data": data}
    mapping: dict[Any, Any] = {name: value for name, value in (stored | fields).items() if value is not None}
    client.hset(f"rq:job:{job_id}", mapping=mapping)
    client.rpush(f"rq:queue:{queue}", job_id)
    return job_id


class Leaves:
    """Unpickled, it runs a command."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self._file,)


def touch(folder: Path) -> list[str]:
    """The arguments with which `os.system` leaves a file."""
    return [f"touch {folder / uuid4().hex}"]


def unpickled(folder: Path) -> bytes:
    return pickle.dumps(Leaves(folder / uuid4().hex))


def calling(call: Callable[[Path], object], **fields: Any) -> Plant:
    return lambda client, queue, folder: put(client, queue, call(folder), **fields)


def with_ids(*arguments: object, path: str = SEND, keywords: object = None, instance: object = None) -> Plant:
    return calling(lambda _folder: [path, instance, list(arguments), keywords or {}])


def with_fields(**fields: Any) -> Plant:
    return calling(lambda _folder: [SEND, None, [[1]], {}], **fields)


def with_data(make: Callable[[Path], bytes | None], **fields: Any) -> Plant:
    return lambda client, queue, folder: put_raw(client, queue, make(folder), **fields)


def _pickled_meta(client: Redis, queue: str, folder: Path) -> None:
    put(client, queue, [SEND, None, [[1]], {}], meta=unpickled(folder), result=unpickled(folder))


def _wrong_type(client: Redis, queue: str, _folder: Path) -> None:
    job_id = str(uuid4())
    client.set(f"rq:job:{job_id}", "a text")
    client.rpush(f"rq:queue:{queue}", job_id)


def _wrong_results(client: Redis, queue: str, _folder: Path) -> None:
    """Where RQ would note the end of a refused job stands something else."""
    job_id = put(client, queue, ["os.system", None, ["true"], {}])
    client.set(f"rq:results:{job_id}", "a text")
    client.set(f"rq:job:{job_id}:dependents", "a text")
    client.set(f"rq:executions:{job_id}", "a text")


def _abandoned(client: Redis, queue: str, folder: Path) -> None:
    """A job that looks as if its worker had died: RQ's maintenance would run its callback."""
    job_id = put(
        client, f"{queue}-not-a-queue", [SEND, None, [[1]], {}], status="started", failure_callback_name="os.system"
    )
    entries: dict[Any, float] = {f"{job_id}:{uuid4().hex}": 1, "no-colon": 1, b"\xff\xfe:\xff": 1}
    client.zadd(f"rq:wip:{queue}", entries)


def _dependents(client: Redis, queue: str, folder: Path) -> None:
    """Two that hang on each other."""
    first = put(client, queue, [SEND, None, [["x"]], {}])
    second = put(
        client, queue, ["os.system", None, touch(folder), {}], status="deferred", dependency_ids=f'["{first}"]'
    )
    client.sadd(f"rq:job:{first}:dependents", second, b"\xff")
    client.zadd(f"rq:ready:{queue}", {second: 1})
    client.zadd(f"rq:scheduled:{queue}", {second: 1})


PLANTS: dict[str, Plant] = {
    "a shell command": calling(lambda folder: ["os.system", None, touch(folder), {}]),
    "a management command": calling(lambda _f: ["django.core.management.call_command", None, ["flush"], {}]),
    "code to evaluate": calling(lambda folder: ["builtins.exec", None, [f"open({str(folder / 'x')!r}, 'w')"], {}]),
    "an attribute of the jobs": with_ids([1], path="pushes.jobs.settings.configure"),
    "an import of the jobs": with_ids([1], path="pushes.jobs.queues._enqueue"),
    "another function of a stage": with_ids([1], path="pushes.sending.job.deliver"),
    "the jobs' module": with_ids([1], path="pushes.jobs"),
    "a name that is none": with_ids([1], path=""),
    "a name of another type": calling(lambda _f: [["os.system"], None, [[1]], {}]),
    "no name": calling(lambda _f: [None, None, [[1]], {}]),
    "a method of an instance": with_ids([1], path="system", instance={"os": 1}),
    "ids in texts": with_ids(["1", "2"]),
    "a text for a list": with_ids("12"),
    "an id for a list": with_ids(1),
    "fractions": with_ids([1.0, 2.5]),
    "truths": with_ids([True]),
    "negative ids": with_ids([-1]),
    "the id 0": with_ids([0]),
    "ids beyond a BIGINT": with_ids([2**63]),
    "ids of a thousand digits": with_ids([10**1000]),
    "no ids": with_ids([]),
    "lists in the list": with_ids([[1], [2]]),
    "an object for a list": with_ids({"1": 1}),
    "nothing for a list": with_ids(None),
    "more ids than a job may have": with_ids(list(range(1, 5_002))),
    "two arguments": with_ids([1], [2]),
    "no argument": with_ids(),
    "keyword arguments": with_ids([1], keywords={"delivery_ids": [2]}),
    "a list for one id": with_ids([1], path="pushes.jobs.expand_broadcast"),
    "a call that is no list": calling(lambda _f: {"func": "os.system"}),
    "a call of three": calling(lambda _f: [SEND, None, [[1]]]),
    "a call of four letters": calling(lambda _f: "abcd"),
    "a pickle": with_data(lambda folder: zlib.compress(unpickled(folder))),
    "a pickle that is not compressed": with_data(unpickled),
    "pickles beside the call": _pickled_meta,
    "garbage": with_data(lambda _f: b"\x00\xff\xfe garbage"),
    "compressed garbage": with_data(lambda _f: zlib.compress(b"\xff" * 10_000)),
    "a bomb": with_data(lambda _f: zlib.compress(b"[" * 50_000_000)),
    "deeply nested lists": with_data(lambda _f: zlib.compress(b"[" * 20_000 + b"]" * 20_000)),
    "another encoding": with_data(lambda _f: f'["{SEND}", null, [[1]], {{}}]'.encode("utf-16") + b"\xd8"),
    "a cut stream": with_data(lambda _f: zlib.compress(b'["os.system", null, ["true"], {}]')[:-9]),
    "no data": with_data(lambda _f: None),
    "empty data": with_data(lambda _f: b""),
    "a success callback": with_fields(success_callback_name="os.system"),
    "a failure callback": calling(lambda _f: [SEND, None, [["x"]], {}], failure_callback_name="os.abort"),
    "a stopped callback": with_fields(stopped_callback_name="os.abort", stopped_callback_timeout="x"),
    "webhooks": with_fields(webhooks='[{"url": "http://127.0.0.1:9/", "job_status": "finished"}]'),
    "retries": calling(lambda _f: ["os.system", None, ["false"], {}], retries_left="9", retry_intervals="[1]"),
    "repetitions": with_fields(repeats_left="1000", repeat_intervals="[0]"),
    "a rate limit": with_fields(rate_limit_key="x", rate_limit_concurrency="1"),
    "a group": with_fields(group_id="x"),
    "dependencies": with_fields(dependency_ids='["a"]', dependency_id="a"),
    "dependencies that are no JSON": with_fields(dependency_ids="["),
    "dependents": _dependents,
    "meta of another type": with_fields(meta="[1, 2]"),
    "meta with another word": with_fields(meta='{"cron_string": "* * * * *"}'),
    "meta with a text for an id": with_fields(meta='{"app_key_id": "1"}'),
    "meta that is no JSON": with_fields(meta=b"\x80\x04."),
    "no end": with_fields(timeout="-1"),
    "an end that no clock reaches": with_fields(timeout=str(10**30)),
    "a time-out in words": with_fields(timeout="soon"),
    "results that are kept for ever": with_fields(result_ttl=str(10**18)),
    "failures that are kept for ever": with_fields(failure_ttl="-1"),
    "another status": with_fields(status="bewitched"),
    "a moment that is none": with_fields(enqueued_at="yesterday"),
    "a moment that never was": with_fields(created_at="2026-02-31T25:00:00.000000Z"),
    "a description that is no text": with_fields(description=b"\xff\xfe"),
    "a worker that is no text": with_fields(worker_name=b"\xff"),
    "another queue": with_fields(origin="hg_cron_queue"),
    "no queue": with_fields(origin=None),
    "a queue that is no text": with_fields(origin=b"\xff"),
    "a job that is a text": _wrong_type,
    "texts where its end is noted": _wrong_results,
    "an abandoned one": _abandoned,
    "an entry without a job": lambda client, queue, _f: client.rpush(f"rq:queue:{queue}", str(uuid4())),
    "an entry that is no text": lambda client, queue, _f: client.rpush(f"rq:queue:{queue}", b"\xff\xfe\x00"),
    "an empty entry": lambda client, queue, _f: client.rpush(f"rq:queue:{queue}", ""),
    "an entry with a colon": lambda client, queue, _f: client.rpush(f"rq:queue:{queue}", "a:b/../c"),
    "a long entry": lambda client, queue, _f: client.rpush(f"rq:queue:{queue}", "x" * 100_000),
    "a name with a slash": lambda client, queue, _f: put_raw(client, queue, b"x", job_id="../x"),
}
