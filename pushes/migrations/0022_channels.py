"""Channels; tokens of up to 512 characters; codes as text.

The delivery log is changed in one pass on MariaDB: its only costly part, the provider's code from a number to text,
copies the table, during which nothing can be written to it (docs/operations.md has the time, and a way without a stop).
"""

from typing import Any

from django.db import migrations, models

from pushes.names import CHANNELS, DEFAULT_CHANNEL

LOG = "pushes_deliveryresult"
# Where the table was changed beforehand, beside the running platform, this does nothing.
ONE_PASS = f"""
ALTER TABLE {LOG}
    ADD COLUMN IF NOT EXISTS call_key varchar(63) NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS http_status smallint unsigned NULL,
    MODIFY provider_code varchar(40) NULL DEFAULT '',
    MODIFY provider_push_id varchar(63) NOT NULL DEFAULT '',
    MODIFY token varchar(512) NOT NULL
"""
# A code that is a word becomes 0, and a token that is too long is cut.
BACK = f"""
SET STATEMENT sql_mode = '' FOR ALTER TABLE {LOG}
    DROP COLUMN IF EXISTS call_key,
    DROP COLUMN IF EXISTS http_status,
    MODIFY provider_code integer NULL DEFAULT NULL,
    MODIFY provider_push_id varchar(32) NOT NULL DEFAULT '',
    MODIFY token varchar(128) NOT NULL
"""


class InOnePass(migrations.SeparateDatabaseAndState):
    """Several changes of the log as one statement, where the database copies the table for each statement."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "mysql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        schema_editor.execute(ONE_PASS)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "mysql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)
            return
        schema_editor.execute(BACK)


def set_keys(apps: Any, _schema_editor: Any) -> None:
    """Give each key its access id as a text and the channel of its provider, and the devices of its scope the same."""
    key_model, device_model = apps.get_model("pushes", "AppKey"), apps.get_model("pushes", "Device")
    for key in key_model.objects.all():
        key_model.objects.filter(pk=key.pk).update(access_id=str(key.access_number))
        channel = CHANNELS.get(key.provider, DEFAULT_CHANNEL)
        if channel == DEFAULT_CHANNEL:
            continue
        key_model.objects.filter(pk=key.pk).update(channel=channel)
        scope = {"app": key.app, "platform": key.platform, "environment": key.environment}
        device_model.objects.filter(**scope).update(channel=channel)


LOG_CHANGES = [
    migrations.AddField(
        model_name="deliveryresult",
        name="call_key",
        field=models.CharField(blank=True, db_default="", default="", max_length=63),
    ),
    migrations.AddField(
        model_name="deliveryresult",
        name="http_status",
        field=models.PositiveSmallIntegerField(null=True, verbose_name="HTTP status"),
    ),
    migrations.AlterField(
        model_name="deliveryresult",
        name="provider_code",
        field=models.CharField(
            blank=True, db_default="", default="", max_length=40, null=True, verbose_name="provider's code"
        ),
    ),
    migrations.AlterField(
        model_name="deliveryresult",
        name="provider_push_id",
        field=models.CharField(blank=True, db_default="", default="", max_length=63, verbose_name="provider's push ID"),
    ),
    migrations.AlterField(
        model_name="deliveryresult",
        name="token",
        field=models.CharField(blank=True, max_length=512, verbose_name="token"),
    ),
]


class Migration(migrations.Migration):
    dependencies = [("pushes", "0021_words")]

    operations = [
        InOnePass(LOG_CHANGES, LOG_CHANGES),
        migrations.AlterModelOptions(
            name="appkey",
            options={
                "ordering": ["app", "platform", "environment", "channel"],
                "permissions": [("verify_appkey", "Can have the provider check an app key")],
                "verbose_name": "app key",
                "verbose_name_plural": "app keys",
            },
        ),
        migrations.RemoveConstraint(
            model_name="appkey",
            name="one_key_per_scope",
        ),
        migrations.AddField(
            model_name="appkey",
            name="channel",
            field=models.CharField(
                choices=[
                    ("xinge", "Xinge"),
                    ("tpns", "TPNS"),
                    ("apns", "APNs"),
                    ("fcm", "FCM"),
                    ("jpush", "JPush"),
                    ("huawei", "Huawei"),
                ],
                db_default="xinge",
                default="xinge",
                editable=False,
                max_length=12,
                verbose_name="channel",
            ),
        ),
        migrations.AddField(
            model_name="device",
            name="channel",
            field=models.CharField(
                choices=[
                    ("xinge", "Xinge"),
                    ("tpns", "TPNS"),
                    ("apns", "APNs"),
                    ("fcm", "FCM"),
                    ("jpush", "JPush"),
                    ("huawei", "Huawei"),
                ],
                db_default="xinge",
                default="xinge",
                max_length=12,
                verbose_name="channel",
            ),
        ),
        migrations.AddField(
            model_name="device",
            name="installation_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=64, verbose_name="installation"),
        ),
        # The number stays, for the former release; the text is a column of its own.
        migrations.AlterField(
            model_name="appkey",
            name="access_id",
            field=models.PositiveBigIntegerField(db_column="access_id", db_default=0, default=0, editable=False),
        ),
        migrations.RenameField(model_name="appkey", old_name="access_id", new_name="access_number"),
        migrations.AddField(
            model_name="appkey",
            name="access_id",
            field=models.CharField(
                db_column="access_name", db_default="", default="", max_length=128, verbose_name="access ID"
            ),
        ),
        migrations.AlterField(
            model_name="appkey",
            name="platform",
            field=models.CharField(
                choices=[("android", "Android"), ("ios", "iOS"), ("harmony", "HarmonyOS")],
                max_length=8,
                verbose_name="platform",
            ),
        ),
        migrations.AlterField(
            model_name="appkey",
            name="provider",
            field=models.CharField(
                choices=[
                    ("xinge_v2", "Xinge REST v2"),
                    ("tpns", "TPNS"),
                    ("apns", "APNs"),
                    ("fcm", "FCM HTTP v1"),
                    ("jpush", "JPush v3"),
                    ("huawei_v3", "Huawei v3 (HarmonyOS)"),
                    ("huawei_v1", "Huawei v1 (Android)"),
                    ("sandbox", "sandbox"),
                ],
                default="xinge_v2",
                max_length=12,
                verbose_name="provider",
            ),
        ),
        migrations.AlterField(
            model_name="broadcast",
            name="platform",
            field=models.CharField(
                blank=True,
                choices=[("android", "Android"), ("ios", "iOS"), ("harmony", "HarmonyOS")],
                help_text="Blank: all platforms.",
                max_length=8,
                verbose_name="platform",
            ),
        ),
        migrations.AlterField(
            model_name="deliveryresult",
            name="platform",
            field=models.CharField(
                blank=True,
                choices=[("android", "Android"), ("ios", "iOS"), ("harmony", "HarmonyOS")],
                max_length=8,
                verbose_name="platform",
            ),
        ),
        migrations.AlterField(
            model_name="device",
            name="platform",
            field=models.CharField(
                choices=[("android", "Android"), ("ios", "iOS"), ("harmony", "HarmonyOS")],
                max_length=8,
                verbose_name="platform",
            ),
        ),
        migrations.AlterField(
            model_name="device",
            name="token",
            field=models.CharField(max_length=512, verbose_name="token"),
        ),
        migrations.AlterField(
            model_name="multipush",
            name="push_id",
            field=models.CharField(max_length=63, verbose_name="provider's push ID"),
        ),
        migrations.AlterField(
            model_name="pushrecord",
            name="platform",
            field=models.CharField(
                blank=True,
                choices=[("android", "Android"), ("ios", "iOS"), ("harmony", "HarmonyOS")],
                max_length=8,
                verbose_name="platform",
            ),
        ),
        migrations.AlterField(
            model_name="resend",
            name="token",
            field=models.CharField(blank=True, max_length=512, verbose_name="token"),
        ),
        migrations.AlterField(
            model_name="suspecttoken",
            name="token",
            field=models.CharField(max_length=512),
        ),
        migrations.AddIndex(
            model_name="device",
            index=models.Index(fields=["installation_id", "app"], name="device_installation"),
        ),
        migrations.RunPython(set_keys, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="appkey",
            constraint=models.UniqueConstraint(
                fields=("app", "platform", "environment", "channel"), name="one_key_per_channel"
            ),
        ),
    ]
