"""Print the tables of `./push.sh demo --once`."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from django.db.models import Count

from higo_push.demo import evidence, scenario
from higo_push.demo.people import ACCESS_IDS
from pushes.models import DeliveryResult
from pushes.names import App, Channel, Kind, Platform, Reason, Status


def stages(sandbox_url: str) -> list[list[str]]:
    """What came in, what each stage made of it, and what went out: one row for each kind of push."""
    raws = [*scenario.orders(), *scenario.malformed()]
    chats = [*scenario.chats(), *scenario.before_first_start()]
    put_in = Counter({Kind.SYSTEM: len(raws), Kind.BROADCAST: 1}) + Counter(chat.kind for chat in chats)
    dead = Counter({Kind.SYSTEM: sum(1 for raw in raws if raw.dead_reason)})
    dead += Counter(chat.kind for chat in chats if chat.dead_reason)
    records, verdicts = evidence.records_by_kind(), evidence.verdicts()
    phones = _phones_by_kind(sandbox_url)
    rows = [["kind of push", "went in", "dead letters", "not for pushing", "pushes", "refused", "accepted", "phones"]]
    for kind in Kind:
        stored = records[kind.value]
        rest = put_in[kind] - dead[kind] - stored
        skipped = sum(n for (of, status, _), n in verdicts.items() if of == kind and status == Status.SKIPPED)
        accepted = sum(n for (of, status, _), n in verdicts.items() if of == kind and status == Status.ACCEPTED)
        rows.append([str(Kind(kind).label), *map(str, (put_in[kind], dead[kind], rest, stored))])
        rows[-1] += map(str, (skipped, accepted, phones[kind.value]))
    return rows


def channels(sandbox_url: str) -> list[list[str]]:
    """How many pushes each vendor's phones show: one row for each app key."""
    found, _ = evidence.arrivals(sandbox_url)
    shown: Counter[str] = Counter()
    for (access_id, _, _), number in found.items():
        shown[access_id] += number
    rows = [["channel", "platform", "app", "on phones"]]
    for (app, platform, channel), access_id in ACCESS_IDS.items():
        labels = (Channel(channel).label, Platform(platform).label, App(app).label)
        rows.append([*map(str, labels), str(shown[access_id])])
    return rows


def refusals() -> list[list[str]]:
    """Why messages were not pushed, by reason and kind."""
    rows = [["not pushed, because", *(kind.value for kind in Kind)]]
    counted: Counter[tuple[str, str]] = Counter()
    found = DeliveryResult.objects.exclude(status=Status.ACCEPTED).values_list("reason", "kind")
    for reason, kind, number in found.annotate(number=Count("id")):
        counted[reason, kind] += number
    for reason in sorted({reason for reason, _ in counted}):
        label = str(Reason(reason).label) if reason else "(no reason)"
        rows.append([f"{label} ({reason})", *(str(counted[reason, kind.value] or "") for kind in Kind)])
    return rows


def dead_letters() -> list[list[str]]:
    return [
        ["dead letters", ""],
        *([reason, str(number)] for reason, number in sorted(evidence.dead_letters().items())),
    ]


def verdict_lines(checks: Sequence[evidence.Check]) -> list[str]:
    lines: list[str] = []
    for check in checks:
        mark = "✗" if check.differences else "✓"
        lines.append(f"{mark} {check.name}: {check.found} of {check.expected}")
        lines += [f"    {difference}" for difference in check.differences]
    return lines


def table(rows: Sequence[Sequence[str]]) -> str:
    """Align rows as text: the first column to the left, numbers to the right."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(_pad(cell, width, not index) for index, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:], ""])


def _phones_by_kind(sandbox_url: str) -> Counter[str]:
    kinds = {push.shows: push.kind.value for push in scenario.accepted_pushes()}
    found, _ = evidence.arrivals(sandbox_url)
    counted: Counter[str] = Counter()
    for (_, _, shows), number in found.items():
        counted[kinds[shows]] += number
    return counted


def _pad(cell: str, width: int, to_left: bool) -> str:
    space = " " * (width - _width(cell))
    return cell + space if to_left else space + cell


def _width(text: str) -> int:
    """Count the columns on a terminal: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
