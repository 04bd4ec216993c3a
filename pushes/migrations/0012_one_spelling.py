"""One spelling for each iPhone's token and for each tag: what was kept under several becomes one.

Of devices that are one iPhone the newer registration stays, with the history, the deliveries and (of the same account)
the tags of the others. In batches; begun anew after an interruption, it goes on.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import migrations, models, transaction
from django.db.models.functions import Lower

BATCH = 500
MOST_TAGS, LONGEST_TAG = 20, 32
LIVE = ("pending", "held", "sending", "retrying")
HEX = frozenset("0123456789abcdefABCDEF")
XCODE = str.maketrans("", "", "<> \t\r\n\u00a0")


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
    """`odd` are the app and token of devices that are written otherwise than they will be."""
    model = apps.get_model("pushes", "Device")
    tokens = {token for _, token in odd}
    groups: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for device in model.objects.filter(token__in=tokens | set(map(spelled, tokens))):
        groups[device.app, spelled(device.token)].append(device)
    _respell(connection, "pushes_deliveryresult", tokens)
    _respell(connection, "pushes_resend", tokens)
    renamed = []
    for app, token in dict.fromkeys((app, spelled(token)) for app, token in odd):
        *older, newest = sorted(groups[app, token], key=lambda device: (device.seen_at, device.pk))
        for device in older:
            _take_over(apps, device, newest, token)
        if newest.token.lower() == token:
            renamed.append(newest.pk)
        else:
            model.objects.filter(pk=newest.pk).update(token=token)
    model.objects.filter(pk__in=renamed).update(token=Lower("token"))


def _respell(connection: Any, table: str, tokens: Iterable[str]) -> None:
    """A row that would then be the second of its push, account and token stays as it is: it was a call of its own."""
    head = f"UPDATE {'IGNORE' if connection.vendor == 'mysql' else 'OR IGNORE'} {table}"
    only = " AND platform = 'ios'" if table == "pushes_deliveryresult" else ""
    plain = [token for token in tokens if spelled(token) == token.lower()]
    with connection.cursor() as cursor:
        if plain:
            marks = ", ".join(["%s"] * len(plain))
            cursor.execute(f"{head} SET token = LOWER(token) WHERE token IN ({marks}){only}", plain)
        for token in set(tokens) - set(plain):
            cursor.execute(f"{head} SET token = %s WHERE token = %s{only}", [spelled(token), token])


def _take_over(apps: Any, older: Any, newest: Any, token: str) -> None:
    """What `older` had is `newest`'s from now on. Its waiting deliveries that `newest` has, too, lose their device,
    and are skipped when their turn comes."""
    results = apps.get_model("pushes", "DeliveryResult").objects
    mine = results.filter(token__in={token, older.token}, device_id=older.pk)
    mine.exclude(token=older.token if older.token != token else "", status__in=LIVE).update(device_id=newest.pk)
    events = apps.get_model("pushes", "DeviceEvent").objects
    events.filter(device_id=older.pk).update(device_id=newest.pk)
    detail = "joined with the same token in another letter case"
    if older.account_id != newest.account_id:
        detail += f", registered before for {older.account_id}"
    events.create(device_id=newest.pk, event="registered", detail=detail[:200])
    if older.account_id == newest.account_id:
        _take_tags(apps, older, newest)
    older.delete()


def _take_tags(apps: Any, older: Any, newest: Any) -> None:
    tags = apps.get_model("pushes", "DeviceTag").objects
    has = set(tags.filter(device_id=newest.pk).values_list("tag", flat=True))
    for row in tags.filter(device_id=older.pk).exclude(tag__in=has).order_by("tag")[: max(0, MOST_TAGS - len(has))]:
        row.device_id = newest.pk
        row.save(update_fields=["device_id"])


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
        migrations.RunPython(join_devices, migrations.RunPython.noop),
        migrations.RunPython(respell_waiting, migrations.RunPython.noop),
        migrations.RunPython(join_tags, migrations.RunPython.noop),
    ]
