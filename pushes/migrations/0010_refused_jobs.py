from django.db import migrations, models

KINDS = [
    ("system", "system"),
    ("group", "group chat"),
    ("private", "private chat"),
    ("broadcast", "broadcast"),
]
REASONS = [
    ("function", "it calls something else"),
    ("arguments", "its arguments are not row numbers"),
    ("extras", "it brings callbacks, retries or dependencies"),
    ("settings", "its settings are not valid"),
    ("queue", "it belongs to another queue"),
    ("unreadable", "it cannot be read"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("pushes", "0009_broadcast_halt"),
    ]

    operations = [
        migrations.CreateModel(
            name="RefusedJob",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("lane", models.CharField(choices=KINDS, max_length=10)),
                ("reason", models.CharField(choices=REASONS, max_length=20)),
                ("count", models.PositiveBigIntegerField(default=0)),
                ("last_at", models.DateTimeField()),
                ("detail", models.CharField(max_length=300)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("lane", "reason"), name="one_refused_job")],
            },
        ),
    ]
