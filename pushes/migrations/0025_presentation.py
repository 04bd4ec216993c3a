"""How a push looks, and what each type is to the phones' vendors. The columns of big tables may be null, so MariaDB
adds them without copying a row."""

from typing import Any

from django.db import migrations, models

from pushes.names import MessageClass

CLASSES = {
    MessageClass.IM: (1,),
    MessageClass.ORDER: (5, 7, 8, 9, 10, 11),
    MessageClass.WORK: (6, 17),
    MessageClass.ACCOUNT: (15, 16, 18, 19, 30),
}


def classify(apps: Any, _schema_editor: Any) -> None:
    policies = apps.get_model("pushes", "PushTypePolicy").objects
    for message_class, numbers in CLASSES.items():
        policies.filter(push_type__in=numbers).update(message_class=message_class.value)


class Migration(migrations.Migration):
    dependencies = [("pushes", "0024_old_access_id")]

    operations = [
        migrations.AddField(
            model_name="broadcast",
            name="presentation",
            field=models.JSONField(blank=True, editable=False, null=True, verbose_name="presentation"),
        ),
        migrations.AddField(
            model_name="pushrecord",
            name="presentation",
            field=models.JSONField(blank=True, null=True, verbose_name="presentation"),
        ),
        migrations.AddField(
            model_name="pushtypepolicy",
            name="message_class",
            field=models.CharField(
                choices=MessageClass.choices,
                db_default="MARKETING",
                default="MARKETING",
                help_text=(
                    "What Huawei and other vendors are told. They show few marketing pushes a day, and punish a wrong "
                    "class."
                ),
                max_length=16,
                verbose_name="message class",
            ),
        ),
        migrations.AddField(
            model_name="pushtypepolicy",
            name="android_channel",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The ID of a notification channel that the app has created. Blank: the app's default.",
                max_length=64,
                verbose_name="Android channel",
            ),
        ),
        migrations.AddField(
            model_name="pushtypepolicy",
            name="sound",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="A sound file of the app, such as ding.caf. Blank: the phone's default.",
                max_length=64,
                verbose_name="sound",
            ),
        ),
        migrations.RunPython(classify, migrations.RunPython.noop),
    ]
