"""Each node of a cluster of databases counts in rows of its own. On MariaDB the old constraints go last: until then,
and afterwards by the new ones, the program of before adds to the rows that it finds. On SQLite, where there is one
node, they stay: the program of before names them in its statements."""

from typing import Any

from django.db import migrations, models
from django.db.models import Count, Min, Sum

#: What there is one row of, but for the node.
KEYS = {
    "BroadcastTally": ("broadcast_id", "bucket_at", "event", "reason"),
    "LatencyBucket": ("granularity", "bucket_at", "kind", "le_ms"),
    "MinuteCount": ("granularity", "bucket_at", "kind", "event", "reason", "app_key_id"),
}


def add_up(apps: Any, _schema_editor: Any) -> None:
    """The way back: one row again of what several nodes have counted."""
    for name, key in KEYS.items():
        rows = apps.get_model("pushes", name).objects
        groups = rows.order_by().values(*key).annotate(rows=Count("id"), first=Min("id"), total=Sum("count"))
        for group in groups.filter(rows__gt=1):
            rows.filter(**{column: group[column] for column in key}).exclude(id=group["first"]).delete()
            rows.filter(id=group["first"]).update(count=group["total"])


class RemoveConstraint(migrations.RemoveConstraint):
    """On SQLite only from what Django knows of the table."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "mysql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "mysql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    dependencies = [("pushes", "0025_presentation")]

    operations = [
        *(
            migrations.AddField(name, "node", models.PositiveSmallIntegerField(db_default=1, default=1))
            for name in ("broadcasttally", "latencybucket", "minutecount")
        ),
        migrations.AddConstraint(
            model_name="broadcasttally",
            constraint=models.UniqueConstraint(
                fields=("broadcast_id", "bucket_at", "event", "reason", "node"), name="one_tally_per_node"
            ),
        ),
        migrations.AddConstraint(
            model_name="latencybucket",
            constraint=models.UniqueConstraint(
                fields=("granularity", "bucket_at", "kind", "le_ms", "node"), name="one_bucket_per_node"
            ),
        ),
        migrations.AddConstraint(
            model_name="minutecount",
            constraint=models.UniqueConstraint(
                fields=("granularity", "bucket_at", "kind", "event", "reason", "app_key_id", "node"),
                name="one_counter_per_node",
            ),
        ),
        RemoveConstraint(model_name="broadcasttally", name="one_broadcast_tally"),
        RemoveConstraint(model_name="latencybucket", name="one_latency_bucket"),
        RemoveConstraint(model_name="minutecount", name="one_counter"),
        migrations.RunPython(migrations.RunPython.noop, add_up),
    ]
