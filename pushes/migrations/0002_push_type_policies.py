"""One policy row for every push type.

Chat respects everything (login, do-not-disturb, presence). Orders and payments concern money, so they
ask only for the login and would rather arrive twice than never. Notices to merchants and users about
their standing are between the two.
"""

from django.db import migrations

HOUR, DAY = 3_600, 86_400
# number: (default title, time to live, do-not-disturb, presence, policy for an unknown outcome)
SEED = {
    1: ("新消息", 12 * HOUR, True, True, "keep"),
    5: ("新订单", DAY, False, False, "resend"),
    6: ("商品售罄", DAY, False, False, "resend"),
    7: ("商品已发货", DAY, False, False, "resend"),
    8: ("买家已付款", DAY, False, False, "resend"),
    9: ("买家已确认收货", DAY, False, False, "resend"),
    10: ("即将自动确认收货", 2 * DAY, False, False, "resend"),
    11: ("请尽快发货", DAY, False, False, "resend"),
    15: ("店铺审核通过", 3 * DAY, False, False, "keep"),
    16: ("店铺审核未通过", 3 * DAY, False, False, "keep"),
    17: ("商品已下架", DAY, False, False, "keep"),
    18: ("买手认证通过", 3 * DAY, False, False, "keep"),
    19: ("买手认证未通过", 3 * DAY, False, False, "keep"),
    20: ("单品分享", DAY, True, False, "keep"),
    30: ("举报通知", DAY, False, False, "keep"),
    55: ("通知", DAY, True, False, "keep"),
}


def seed(apps, schema_editor):
    policy = apps.get_model("pushes", "PushTypePolicy")
    policy.objects.bulk_create(
        policy(
            push_type=number,
            default_title=title,
            ttl_seconds=ttl,
            requires_login=True,
            respects_do_not_disturb=quiet,
            skips_online=presence,
            unknown_policy=unknown,
        )
        for number, (title, ttl, quiet, presence, unknown) in SEED.items()
    )


class Migration(migrations.Migration):
    dependencies = [("pushes", "0001_initial")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
