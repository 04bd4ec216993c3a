from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("pushes", "0006_delivery_log"),
    ]

    operations = [
        migrations.AddField(
            model_name="deliveryresult",
            name="may_have_arrived",
            field=models.BooleanField(db_default=False, default=False, verbose_name="may have arrived"),
        ),
    ]
