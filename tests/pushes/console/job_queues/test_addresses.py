"""The desk's pages and RQ's own: an address about nothing is a 404, never a 500, and is no gap in who may open it."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django_rq.settings import get_queues_list
from redis import Redis

from pushes.console.job_queues.desk import Dashboard
from pushes.console.operators import roles
from tests.pushes.console.conftest import SignIn

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

BASE = "/admin/django_rq/dashboard/"
NUMBERS = ("999", "99999999999999999999", "9" * 5000, "0")
NAMES = ("abc", "rq:worker:abc", "a" * 300, "%00", "%E4%BD%A0", "..", "a%0Ab", "%25", "*")
QUERIES = ("?page=abc", "?page=-1", "?page=99999999999999999999", "?page=", "?desc=x&sort=y")


def routes() -> list[str]:
    found = {str(pattern.pattern) for pattern in admin.site._registry[Dashboard].get_urls()}
    return sorted(route for route in found if not route.startswith("^"))


def addresses(route: str) -> list[str]:
    """`route` with numbers and names of nothing in its places: each of them once, where the others have their first,
    and once where they have their last (the one queue that there is). All of them together take a minute."""
    parts = re.split(r"<(\w+):\w+>", route)
    choices = [[part] if at % 2 == 0 else NUMBERS if part == "int" else NAMES for at, part in enumerate(parts)]
    found: dict[str, None] = {}
    for others in ([choice[0] for choice in choices], [choice[-1] for choice in choices]):
        for at, choice in enumerate(choices):
            found |= {"".join([*others[:at], odd, *others[at + 1 :]]): None for odd in choice}
    return [BASE + address for address in found]


@pytest.mark.parametrize("route", routes())
def test_an_address_about_nothing_is_a_404(administrator: Client, route: str) -> None:
    answers = {
        (address, method): getattr(administrator, method)(address).status_code
        for address in addresses(route)
        for method in ("get", "post")
    }
    assert answers
    # What there is (queue 0, the overview) is shown, and a GET that would act is no way.
    assert set(answers.values()) <= {200, 302, 404, 405}
    is_about_a_queue = "_index>" in route
    nowhere = [seen for (address, _method), seen in answers.items() if "/999" in address and is_about_a_queue]
    assert set(nowhere) <= {404, 405}


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("page", ["queues/0/", "queues/0/failed/", "queues/0/finished/", "workers/0/", "rq/", ""])
def test_an_odd_query_is_no_500(administrator: Client, page: str, query: str) -> None:
    assert administrator.get(BASE + page + query).status_code in (200, 404)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"action": "nothing"},
        {"action": "requeue", "job_ids": "abc", "_selected_action": "*"},
        {"action": "delete", "job_ids": ["\0", "abc"], "_selected_action": ["\0", "abc"]},
        {"action": "stop", "job_ids": "a" * 500, "_selected_action": "a" * 500},
    ],
)
@pytest.mark.parametrize("page", ["queues/actions/0/", "queues/confirm-action/0/"])
def test_an_odd_form_is_no_500(administrator: Client, page: str, form: dict[str, object]) -> None:
    assert administrator.post(BASE + page, form).status_code in (200, 302, 404, 405)


def test_jobs_that_are_none_of_ours_do_not_take_the_pages_down(administrator: Client, redis_client: Redis) -> None:
    name = "hg_message_queue"
    redis_client.sadd("rq:queues", f"rq:queue:{name}")
    for number, data in enumerate((b"\xff\xfe", b"null", b"[1]", b'["os.system", null, ["x"], {}]')):
        redis_client.hset(f"rq:job:odd{number}", mapping={"data": data, "status": "queued", "created_at": "never"})
        redis_client.rpush(f"rq:queue:{name}", f"odd{number}")
    redis_client.rpush(f"rq:queue:{name}", b"\xff", "*", "")
    for at in range(12):
        for page in (f"queues/{at}/", f"queues/{at}/details/", f"queues/{at}/odd0/", f"queues/{at}/odd1/"):
            assert administrator.get(BASE + page).status_code in (200, 404)


def test_an_address_about_nothing_is_refused_first_to_who_may_not_look(sign_in: SignIn) -> None:
    for address in ("workers/0/abc/", "queues/999/", "queues/0/*/", "failed/none/", "failed/none/jobs/none/"):
        assert sign_in(roles.OPERATOR).get(BASE + address).status_code == 403


#: Of jobs, as nobody of ours names them; the last two are of jobs that say next to nothing.
STRANGE = (b"\xff", b"", b"a/b", b"..", b"a b", b"?x=1", b"\0", "é".encode(), b"x" * 3_000, b"<script>", b"a:b", b"\n")
KNOWN = (b"odd", b"bare", b"text")
REGISTRIES = ("wip", "failed", "finished", "deferred", "scheduled")
NAME = "hg_message_queue"


def plant_jobs(client: Any) -> None:
    for job_id in STRANGE:
        client.hset(b"rq:job:" + job_id, mapping={"data": b"x", "origin": NAME})
    client.hset("rq:job:odd", mapping={"data": "null", "created_at": "never", "exc_info": b"\xff", "result": b"\x80"})
    client.hset("rq:job:bare", "x", "y")
    client.set("rq:job:text", "a text")
    client.set("rq:results:odd", "a text")


def plant_entries(client: Redis, names: tuple[bytes, ...], until: float) -> None:
    for registry in REGISTRIES:
        # Of a name alone RQ warns where an execution belongs, and a test takes a warning for an error.
        entries = [name + b":x" if registry == "wip" else name for name in names]
        client.zadd(f"rq:{registry}:{NAME}", dict.fromkeys(entries, until))


def plant_workers(client: Redis) -> None:
    fields = {"queues": NAME, "state": "idle", "birth": "2026-01-01T00:00:00.000000Z"}
    made: dict[bytes, dict[str, str | bytes]] = {
        b"rq:worker:garbage": {"birth": "never", "last_heartbeat": "x", "pid": "q", "total_working_time": "x"},
        b"rq:worker:bytes": {"queues": b"\xff"},
        b"rq:worker:bare": {"x": "y"},
        b"rq:worker:a/b": {},
        b"rq:worker:": {},
        b"rq:worker:\xff": {},
        b"nothing": {},
    }
    for key, more in made.items():
        client.hset(key, mapping=fields | more)  # type: ignore[arg-type]
    client.set("rq:worker:text", "a text")
    for members in ("rq:workers", f"rq:workers:{NAME}"):
        client.sadd(members, *made, b"rq:worker:text")


PLANTED: dict[str, Callable[[Redis], object]] = {
    "queue": lambda client: client.rpush(f"rq:queue:{NAME}", *STRANGE, *KNOWN),
    "queue-odd": lambda client: client.rpush(f"rq:queue:{NAME}", "odd"),
    "queue-bare": lambda client: client.rpush(f"rq:queue:{NAME}", "bare"),
    "queue-text": lambda client: client.rpush(f"rq:queue:{NAME}", "text"),
    "registries": lambda client: plant_entries(client, (*STRANGE, *KNOWN), 2e12),
    "run-out": lambda client: plant_entries(client, (*STRANGE, *KNOWN), 5),
    "types": lambda client: [client.set(f"rq:{name}:{NAME}", "a text") for name in (*REGISTRIES, "queue", "workers")],
    "workers": plant_workers,
    "no-set": lambda client: client.set("rq:workers", "a text"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_nobody_can_read_hides_no_page(administrator: Client, redis_client: Redis, kind: str) -> None:
    at = [queue["name"] for queue in get_queues_list()].index(NAME)
    registries = [
        f"queues/{at}/{name}/" for name in ("failed", "finished", "started", "deferred", "scheduled", "details")
    ]
    own = ("", f"failed/{NAME}/", f"failed/{NAME}/requeue/", f"failed/{NAME}/delete/")
    for page in (*own, "rq/", f"queues/{at}/", f"workers/{at}/", "stats.json", *registries):
        redis_client.flushdb()
        plant_jobs(redis_client)
        PLANTED[kind](redis_client)
        assert administrator.get(BASE + page).status_code == 200, page
