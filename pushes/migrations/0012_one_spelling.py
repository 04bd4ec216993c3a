"""One spelling for each iPhone's token and for each tag: what was kept under several becomes one.

Of devices that are one iPhone the newer registration stays, with the history, the deliveries and (of the same account)
the tags of the others. In batches; begun anew after an interruption, it goes on.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import migrations, models, transaction
from django.db.models import Case, Value, When

BATCH = 500
MOST_TAGS, LONGEST_TAG = 20, 32
LIVE = ("pending", "held", "sending", "retrying")
HEX = frozenset("0123456789abcdefABCDEF")
XCODE = str.maketrans("", "", "<> \t\r\n\u00a0")
#: What is really met of these, and taken away by the database itself.
WRITTEN = str.maketrans("", "", "<> ")


def spelled(token: str) -> str:
    digits = token.translate(XCODE)
    return digits.lower() if len(digits) >= 64 and HEX.issuperset(digits) else token


def chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    listed = list(items)
    yield from (listed[start : start + BATCH] for start in range(0, len(listed), BATCH))


def join_devices(apps: Any, schema_editor: Any) -> None:
    devices = apps.get_model("pushes", "Device").objects.filter(platform="ios").order_by("pk")
    last = 0
    while rows := list(devices.filter(pk__gt=last).values_list("pk", "app", "token")[: 4 * BATCH]):
        last = rows[-1][0]
        odd = [(app, token) for _, app, token in rows if spelled(token) != token]
        for some in chunks(odd):
            with transaction.atomic():
                _join(apps, schema_editor.connection, some)


def _join(apps: Any, connection: Any, odd: list[tuple[str, str]]) -> None:
    """`odd` are the app and token of devices that are written otherwise than they will be. However many they are, it
    takes about a dozen statements."""
    devices = apps.get_model("pushes", "Device").objects
    tokens = {token for _, token in odd}
    groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for device in devices.filter(token__in=tokens | set(map(spelled, tokens))):
        groups[device.app, spelled(device.token)].append(device)
    _respell(connection, "pushes_deliveryresult", tokens)
    _respell(connection, "pushes_resend", tokens)
    pairs: list[tuple[Any, Any]] = []
    renamed: dict[int, str] = {}
    for app, token in dict.fromkeys((app, spelled(token)) for app, token in odd):
        *older, newest = sorted(groups[app, token], key=lambda device: (device.seen_at, device.pk))
        pairs += [(device, newest) for device in older]
        renamed[newest.pk] = token
    if pairs:
        _take_over(apps, pairs, tokens)
    devices.filter(pk__in=renamed).update(token=_chosen("pk", renamed))


def _chosen(field: str, values: dict[int, Any]) -> Case:
    return Case(*(When(**{field: key}, then=Value(value)) for key, value in values.items()))


def _respell(connection: Any, table: str, tokens: Iterable[str]) -> None:
    """A row that would then be the second of its push, account and token stays as it is: it was a call of its own."""
    head = f"UPDATE {'IGNORE' if connection.vendor == 'mysql' else 'OR IGNORE'} {table}"
    only = " AND platform = 'ios'" if table == "pushes_deliveryresult" else ""
    plain = [token for token in tokens if spelled(token) == token.translate(WRITTEN).lower()]
    with connection.cursor() as cursor:
        if plain:
            marks = ", ".join(["%s"] * len(plain))
            bare = "REPLACE(REPLACE(REPLACE(token, '<', ''), '>', ''), ' ', '')"
            cursor.execute(f"{head} SET token = LOWER({bare}) WHERE token IN ({marks}){only}", plain)
        for token in set(tokens) - set(plain):
            cursor.execute(f"{head} SET token = %s WHERE token = %s{only}", [spelled(token), token])


def _take_over(apps: Any, pairs: list[tuple[Any, Any]], odd: set[str]) -> None:
    """What the older of each pair had is the newest's from now on. Its waiting deliveries that the newest has, too,
    lose their device, and are skipped when their turn comes."""
    heirs = {older.pk: newest.pk for older, newest in pairs}
    results = apps.get_model("pushes", "DeliveryResult").objects
    tokens = {older.token for older, _ in pairs} | {spelled(older.token) for older, _ in pairs}
    mine = results.filter(token__in=tokens, device_id__in=heirs)
    mine.exclude(token__in=odd, status__in=LIVE).update(device_id=_chosen("device_id", heirs))
    event = apps.get_model("pushes", "DeviceEvent")
    event.objects.filter(device_id__in=heirs).update(device_id=_chosen("device_id", heirs))
    event.objects.bulk_create(
        event(device_id=newest.pk, event="registered", detail=_detail(older, newest)) for older, newest in pairs
    )
    _take_tags(apps, [(older, newest) for older, newest in pairs if older.account_id == newest.account_id])
    apps.get_model("pushes", "Device").objects.filter(pk__in=heirs).delete()


def _detail(older: Any, newest: Any) -> str:
    detail = "joined with the same token in another letter case"
    if older.account_id != newest.account_id:
        detail += f", registered before for {older.account_id}"
    return detail[:200]


def _take_tags(apps: Any, pairs: list[tuple[Any, Any]]) -> None:
    rows = apps.get_model("pushes", "DeviceTag").objects
    found: dict[int, dict[str, int]] = defaultdict(dict)
    both = {device.pk for pair in pairs for device in pair}
    for pk, device_id, tag in rows.filter(device_id__in=both).order_by("tag").values_list("pk", "device_id", "tag"):
        found[device_id][tag] = pk
    moved: dict[int, int] = {}
    for older, newest in pairs:
        has = found[newest.pk]
        new = [(tag, pk) for tag, pk in found[older.pk].items() if tag not in has][: max(0, MOST_TAGS - len(has))]
        has.update(new)
        moved.update((pk, newest.pk) for _, pk in new)
    for some in chunks(moved):
        rows.filter(pk__in=some).update(device_id=_chosen("pk", {pk: moved[pk] for pk in some}))


def respell_waiting(apps: Any, schema_editor: Any) -> None:
    """Waiting deliveries to devices that a directory of its own keeps: it gives their tokens in the one spelling."""
    results = apps.get_model("pushes", "DeliveryResult").objects.filter(
        status__in=LIVE, platform="ios", device_id__isnull=True
    )
    odd = {token for token in results.values_list("token", flat=True).iterator() if spelled(token) != token}
    for some in chunks(sorted(odd)):
        with transaction.atomic():
            _respell(schema_editor.connection, "pushes_deliveryresult", some)


def join_tags(apps: Any, _schema_editor: Any) -> None:
    tags = apps.get_model("pushes", "DeviceTag").objects
    for app, tag in list(tags.order_by().values_list("app", "tag").distinct()):
        cleaned = one_tag(tag)
        if cleaned != tag:
            _rename_tag(tags.filter(app=app), tag, cleaned)
    broadcasts = apps.get_model("pushes", "Broadcast").objects
    for tag in list(broadcasts.exclude(tag="").order_by().values_list("tag", flat=True).distinct()):
        if one_tag(tag) != tag:
            broadcasts.filter(tag=tag).update(tag=one_tag(tag))


def one_tag(tag: str) -> str:
    cleaned = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", tag).strip().lower())
    return cleaned if 0 < len(cleaned) <= LONGEST_TAG else tag


def _rename_tag(tags: Any, tag: str, cleaned: str) -> None:
    rows = dict(tags.filter(tag=tag).values_list("pk", "device_id"))
    for some in chunks(rows):
        with transaction.atomic():
            both = tags.filter(tag=cleaned, device_id__in=[rows[pk] for pk in some]).exclude(pk__in=some)
            doubled = set(both.values_list("device_id", flat=True))
            tags.filter(pk__in=[pk for pk in some if rows[pk] in doubled]).delete()
            tags.filter(pk__in=[pk for pk in some if rows[pk] not in doubled]).update(tag=cleaned)


class Migration(migrations.Migration):
    dependencies = [
        ("pushes", "0011_wrong_clock"),
    ]

    operations = [
        migrations.AddField(
            model_name="broadcast",
            name="repeated",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
        migrations.RunPython(join_devices, migrations.RunPython.noop, atomic=False),
        migrations.RunPython(respell_waiting, migrations.RunPython.noop, atomic=False),
        migrations.RunPython(join_tags, migrations.RunPython.noop, atomic=False),
    ]
