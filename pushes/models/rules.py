"""The rules of each push type."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from pushes.names import MAX_WORD, MessageClass, PushType, UnknownPolicy, WindowPolicy
from pushes.values import Policy


class PushTypePolicy(models.Model):
    """The rules of one push type, editable by operators; seeded by a migration."""

    push_type = models.PositiveSmallIntegerField(_("push type"), primary_key=True, choices=PushType)
    default_title = models.CharField(_("default title"), max_length=64)
    ttl_seconds = models.PositiveIntegerField(
        _("time to live (s)"),
        default=86_400,
        help_text=_("A push is not sent later than this after it was submitted."),
    )
    is_enabled = models.BooleanField(_("enabled"), default=True)
    # For a disabled type: when, by whom and why, for operators who find its pushes skipped.
    disabled_at = models.DateTimeField(null=True, editable=False)
    disabled_by = models.CharField(max_length=150, blank=True, default="", editable=False)
    disabled_reason = models.CharField(max_length=200, blank=True, default="", editable=False)
    requires_login = models.BooleanField(_("only if logged in"), default=True)
    respects_do_not_disturb = models.BooleanField(_("respects do-not-disturb"), default=False)
    skips_online = models.BooleanField(_("skips online accounts"), default=False)
    window_policy = models.CharField(
        _("outside the window"), max_length=8, choices=WindowPolicy, default=WindowPolicy.HOLD
    )
    window = models.CharField(
        _("delivery window"),
        max_length=11,
        blank=True,
        help_text=_("For example 08:00-23:00. Blank: the DELIVERY_WINDOW setting."),
    )
    unknown_policy = models.CharField(
        _("when the outcome is unknown"), max_length=8, choices=UnknownPolicy, default=UnknownPolicy.KEEP
    )

    message_class = models.CharField(
        _("message class"),
        max_length=16,
        choices=MessageClass,
        default=MessageClass.MARKETING,
        db_default=MessageClass.MARKETING.value,
        help_text=_(
            "What Huawei and other vendors are told. They show few marketing pushes a day, and punish a wrong class."
        ),
    )
    android_channel = models.CharField(
        _("Android channel"),
        max_length=MAX_WORD,
        blank=True,
        default="",
        db_default="",
        help_text=_("The ID of a notification channel that the app has created. Blank: the app's default."),
    )
    sound = models.CharField(
        _("sound"),
        max_length=MAX_WORD,
        blank=True,
        default="",
        db_default="",
        help_text=_("A sound file of the app, such as ding.caf. Blank: the phone's default."),
    )

    class Meta:
        verbose_name = _("push type")
        verbose_name_plural = _("push types")
        ordering = ["push_type"]

    def __str__(self) -> str:
        return f"{self.push_type} {self.get_push_type_display()}"

    def as_value(self) -> Policy:
        return Policy(
            push_type=self.push_type,
            default_title=self.default_title,
            ttl_seconds=self.ttl_seconds,
            requires_login=self.requires_login,
            respects_do_not_disturb=self.respects_do_not_disturb,
            skips_online=self.skips_online,
            is_enabled=self.is_enabled,
            window_policy=self.window_policy,
            window=self.window or settings.DELIVERY_WINDOW,
            unknown_policy=self.unknown_policy,
            message_class=self.message_class,
            android_channel=self.android_channel,
            sound=self.sound,
        )


def policies() -> dict[int, Policy]:
    """Return every push type's rules, by number; a type without a row has the model's defaults."""
    rules = {row.push_type: row.as_value() for row in PushTypePolicy.objects.all()}
    for number in PushType.values:
        if number not in rules:
            rules[number] = PushTypePolicy(push_type=number, default_title="通知").as_value()
    return rules
