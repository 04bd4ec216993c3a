"""Which jobs may run: the functions of `pushes.jobs` that JOB_PATHS names, with row ids as arguments, and nothing else.

Redis is shared with the producers, and RQ believes whatever stands in it: it imports any function by its dotted path,
calls a job's callbacks, and unpickles what it reads. So every job is looked at as plain data before anything is made of
it: the rules stand here, and `job_fetch` takes jobs from their queues by them. `install` does the same for RQ's own
code in every process, the console's pages included.
"""

import json
import re
import reprlib
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string
from redis import ResponseError
from rq import job, serializers
from rq.job import Job, JobStatus

from pushes.names import JobRefusal

DISTRIBUTE_JOB = "pushes.jobs.distribute"
SEND_JOB = "pushes.jobs.send"
EXPAND_JOB = "pushes.jobs.expand_broadcast"
EXPORT_JOB = "pushes.jobs.write_export"
JOB_PATHS = (DISTRIBUTE_JOB, SEND_JOB, EXPAND_JOB, EXPORT_JOB)
#: Names that jobs of an earlier release carry.
FORMER_PATHS = {"pushes.admin.export_job.write": EXPORT_JOB}

JOB_PREFIX = "rq:job:"
FAILURE_SECONDS = 86_400  # a failed job is kept for people to look at; RQ would keep it for a year
MAX_SECONDS = 3_600  # of a job's time-out; ours have 600
MAX_KEPT_SECONDS = 30 * 86_400
MAX_ID = 2**63 - 1
MAX_IDS = 5_000  # the largest JOB_SIZE
MAX_BYTES = 200_000  # of a job's call: MAX_IDS of the longest ids, and some
MAX_TEXT_BYTES = 1_000
#: What stands in the place of a call that cannot be read.
UNREADABLE = b'["(unreadable)", null, [], {}]'
#: What stands in the place of a moment: RQ and its pages cannot do without.
LONG_AGO = b"1970-01-01T00:00:00.000000Z"

_NAME = re.compile(rb"[A-Za-z0-9_-]{1,200}")
_MOMENT = re.compile(rb"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d{6})?Z")
#: Fields that no job of ours has: further calls, later calls, and calls to the network.
_EXTRAS = (
    "success_callback_name",
    "failure_callback_name",
    "stopped_callback_name",
    "webhooks",
    "dependency_id",
    "dependency_ids",
    "retries_left",
    "retry_intervals",
    "number_of_retries",
    "repeats_left",
    "repeat_intervals",
    "rate_limit_key",
    "rate_limit_concurrency",
    "group_id",
)

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80

Raw = Mapping[bytes, bytes]
Call = tuple[str, None, list[Any], dict[str, Any]]


class RefusedError(Exception):
    """This is no job of ours. The text says why, for the log and the failed job's page."""

    def __init__(self, reason: JobRefusal, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


# --- what is a job of ours ------------------------------------------------------------------------


def is_id(value: object) -> bool:
    """A row's id: a whole number (no boolean) that a BIGINT column can hold."""
    return type(value) is int and 0 < value <= MAX_ID


def is_name(value: bytes) -> bool:
    """Whether a job of ours can have this id in Redis."""
    return _NAME.fullmatch(value) is not None


def is_id_list(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= MAX_IDS and _are_ids(value)


def _are_ids(values: list[Any]) -> bool:
    return set(map(type, values)) == {int} and min(values) > 0 and max(values) <= MAX_ID


#: What the one argument of each function must be.
ARGUMENTS: dict[str, Callable[[object], bool]] = {
    DISTRIBUTE_JOB: is_id_list,
    SEND_JOB: is_id_list,
    EXPAND_JOB: is_id,
    EXPORT_JOB: is_id,
}


@lru_cache(maxsize=1)
def _functions() -> dict[str, Callable[..., Any]]:
    functions: dict[str, Callable[..., Any]] = {path: import_string(path) for path in JOB_PATHS}
    return functions | {former: functions[path] for former, path in FORMER_PATHS.items()}


def entry_point(path: object) -> Callable[..., Any]:
    """The function of that name, if it is one of ours. Raises RefusedError."""
    found = _functions().get(path) if isinstance(path, str) else None
    if found is None:
        raise RefusedError(JobRefusal.FUNCTION, f"the function {shown(path)} is none of ours")
    return found


def checked_call(raw: Raw, queue_name: str) -> Call:
    """What the job calls. Raises RefusedError unless this is the hash of a job that we have put into that queue."""
    call = path, _instance, arguments, keywords = _readable_call(raw)
    takes = ARGUMENTS.get(FORMER_PATHS.get(path, path))
    if takes is None:
        raise RefusedError(JobRefusal.FUNCTION, f"the function {shown(path)} is none of ours")
    if keywords or len(arguments) != 1 or not takes(arguments[0]):
        raise RefusedError(JobRefusal.ARGUMENTS, f"{path} is called with {shown(arguments)}, {shown(keywords)}")
    if extras := [name for name in _EXTRAS if raw.get(name.encode())]:
        raise RefusedError(JobRefusal.EXTRAS, f"it brings {', '.join(extras)}")
    if read_meta(raw) is None:
        raise RefusedError(JobRefusal.SETTINGS, f"its meta is {shown(raw.get(b'meta'))}")
    if wrong := [name for name, is_fine in _FIELDS.items() if raw.get(name) and not is_fine(raw[name])]:
        raise RefusedError(JobRefusal.SETTINGS, f"its {wrong[0].decode()} is {shown(raw[wrong[0]])}")
    _check_origin(raw.get(b"origin", b"").decode(), queue_name)
    return call


def _check_origin(origin: str, queue_name: str) -> None:
    if origin == queue_name:
        return
    reason = JobRefusal.QUEUE if origin in settings.RQ_QUEUES else JobRefusal.SETTINGS
    raise RefusedError(reason, f"it belongs to the queue {shown(origin)}")


def _readable_call(raw: Raw) -> Call:
    call = read_call(raw)
    if call is None:
        raise RefusedError(JobRefusal.UNREADABLE, f"its call cannot be read: {shown(raw.get(b'data'))}")
    return call


def read_call(raw: Raw) -> Call | None:
    """What the job would call: function, instance (none), arguments, keywords. None when that is no JSON of this
    shape, or longer than any of ours."""
    return _call(raw.get(b"data", b""))


@lru_cache(maxsize=2)  # a job is read twice: to be checked, and to be restored
def _call(data: bytes) -> Call | None:
    call = _json(_unpacked(data))
    is_call = isinstance(call, list) and len(call) == 4 and isinstance(call[0], str) and call[1] is None
    if not is_call or not isinstance(call[2], list) or not isinstance(call[3], dict):
        return None
    return call[0], None, call[2], call[3]


def read_meta(raw: Raw) -> dict[str, Any] | None:
    """The app key of the job's deliveries, if it says one; None when it says anything else."""
    stored = raw.get(b"meta")
    if not stored:
        return {}
    meta = _json(stored)
    if not isinstance(meta, dict) or not meta.keys() <= {"app_key_id"}:
        return None
    return meta if all(value is None or is_id(value) for value in meta.values()) else None


def _unpacked(data: bytes) -> bytes:
    """Decompressed, if it is compressed, and never more than a little more than MAX_BYTES of it."""
    try:
        return zlib.decompressobj().decompress(data, MAX_BYTES + 1)
    except zlib.error:
        return data


def _json(text: bytes) -> Any:
    if len(text) > MAX_BYTES:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_text(value: bytes) -> bool:
    return len(value) <= MAX_TEXT_BYTES and _decodes(value)


def _decodes(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_moment(value: bytes) -> bool:
    return _MOMENT.fullmatch(value) is not None and _exists(value[:-1].decode())


def _exists(moment: str) -> bool:
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        return False
    return True


def _is_seconds(most: int) -> Callable[[bytes], bool]:
    return lambda value: value.isdigit() and len(value) < 10 and 0 < int(value) <= most


_FIELDS: dict[bytes, Callable[[bytes], bool]] = {
    **dict.fromkeys((b"origin", b"description", b"worker_name"), _is_text),
    **dict.fromkeys((b"created_at", b"enqueued_at", b"started_at", b"ended_at", b"last_heartbeat"), _is_moment),
    **dict.fromkeys((b"result_ttl", b"failure_ttl"), _is_seconds(MAX_KEPT_SECONDS)),
    b"timeout": _is_seconds(MAX_SECONDS),
    b"status": frozenset(status.value.encode() for status in JobStatus).__contains__,
}


def cleaned(raw: Raw) -> dict[bytes, bytes]:
    """Of a job's hash, what can be shown and stored again without harm: no callbacks, no pickles, no surprises."""
    if not raw:
        return {}  # there is no such job
    kept = {b"created_at": LONG_AGO, b"enqueued_at": LONG_AGO}
    kept |= {name: raw[name] for name, is_fine in _FIELDS.items() if name in raw and is_fine(raw[name] or b"-")}
    meta = read_meta(raw)
    if meta:
        kept[b"meta"] = json.dumps(meta).encode()
    kept[b"data"] = _unpacked(raw[b"data"]) if read_call(raw) else UNREADABLE
    return kept


def is_wrong_type(error: Exception) -> bool:
    """Somebody else has put a value of another type where RQ keeps its own."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


def shown(value: object) -> str:
    """A stranger's value in one short line, however long or deep it is."""
    return _repr.repr(value)


# --- RQ itself ------------------------------------------------------------------------------------

_restore = Job.restore


def _restore_cleaned(self: Job, raw_data: Any) -> Any:
    return _restore(self, cleaned(raw_data))


def install() -> None:
    """Make RQ in this process read jobs as plain data: its maintenance and the console's pages also fetch jobs, run
    callbacks of what looks abandoned, and unpickle where no serializer is named. Harmless when called twice."""
    replacements: tuple[tuple[object, str, object], ...] = (
        (serializers, "PickleSerializer", serializers.JSONSerializer),
        (job, "import_attribute", entry_point),
        (Job, "restore", _restore_cleaned),
    )
    for owner, name, value in replacements:
        getattr(owner, name)  # RQ has moved it otherwise
        setattr(owner, name, value)
