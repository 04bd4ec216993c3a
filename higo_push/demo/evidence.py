"""Compare what happened in the fixed scenario with what had to happen."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
from django.db.models import Count

from higo_push.demo import scenario
from pushes.models import DeadLetter, DeliveryResult, PushRecord, live
from pushes.names import RecordStatus

MAX_DIFFERENCES = 12
Verdicts = Counter[tuple[str, str, str]]
Arrivals = Counter[tuple[str, str, str]]
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison; `differences` is empty if it holds."""

    name: str
    expected: int
    found: int
    differences: tuple[str, ...]


def records_by_kind() -> Counter[str]:
    rows = PushRecord.objects.values_list("kind").annotate(number=Count("id"))
    return Counter(dict(rows))


def verdicts() -> Verdicts:
    """Count deliveries by kind, status and reason."""
    rows = DeliveryResult.objects.values_list("kind", "status", "reason").annotate(number=Count("id"))
    return Counter({(kind, status, reason): number for kind, status, reason, number in rows})


def dead_letters() -> Counter[str]:
    return Counter(dict(DeadLetter.objects.values_list("reason").annotate(number=Count("id"))))


def arrivals(sandbox_url: str) -> tuple[Arrivals, list[str]]:
    """Count what the sandbox's phones show, by access id, token and text. Returns also the pushes that nobody sent."""
    answer = requests.get(f"{sandbox_url}/_sandbox/received", params={"limit": 100_000}, timeout=30)
    answer.raise_for_status()
    texts = [push.shows for push in scenario.accepted_pushes()]
    found: Arrivals = Counter()
    strangers: list[str] = []
    for entry in answer.json()["entries"]:
        shown = [text for text in texts if text in entry["content"]]
        if len(shown) == 1:
            found[str(entry["access_id"]), str(entry["token"]), shown[0]] += 1
        else:
            strangers.append(f"{entry['content']!r} on a phone, which nobody sent")
    return found, strangers


def is_settled() -> bool:
    """Whether every expected row is in the database, and no work is under way."""
    if sum(records_by_kind().values()) < len(scenario.accepted_pushes()):
        return False
    if sum(dead_letters().values()) < sum(scenario.expected_dead_letters().values()):
        return False
    if sum(verdicts().values()) < len(scenario.expected_deliveries()):
        return False
    under_way = PushRecord.objects.filter(status=RecordStatus.PENDING).exists()
    return not under_way and not DeliveryResult.objects.filter(live()).exists()


def checks(sandbox_url: str) -> list[Check]:
    expected_verdicts: Verdicts = Counter(
        (one.kind.value, one.status.value, one.reason.value if one.reason else "")
        for one in scenario.expected_deliveries()
    )
    found, strangers = arrivals(sandbox_url)
    on_phones = compare("on phones, once each", scenario.expected_on_phones(), found)
    return [
        compare("pushes stored", Counter(push.kind.value for push in scenario.accepted_pushes()), records_by_kind()),
        compare("deliveries by outcome", expected_verdicts, verdicts()),
        compare("dead letters by reason", scenario.expected_dead_letters(), dead_letters()),
        Check(on_phones.name, on_phones.expected, on_phones.found, (*on_phones.differences, *strangers)),
    ]


def compare(name: str, expected: Mapping[K, int], found: Mapping[K, int]) -> Check:
    keys: Iterable[Any] = sorted({*expected, *found}, key=str)
    differences = [
        f"{_shown(key)}: {expected.get(key, 0)} expected, {found.get(key, 0)} found"
        for key in keys
        if expected.get(key, 0) != found.get(key, 0)
    ]
    return Check(name, sum(expected.values()), sum(found.values()), tuple(differences[:MAX_DIFFERENCES]))


def _shown(key: object) -> str:
    return " / ".join(str(part) for part in key if part) if isinstance(key, tuple) else str(key)
