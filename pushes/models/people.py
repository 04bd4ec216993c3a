"""Accounts, their devices, and the devices' history."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from pushes.models.fields import JsonField
from pushes.names import (
    DEFAULT_CHANNEL,
    MAX_INSTALLATION,
    MAX_TOKEN,
    App,
    Channel,
    DeviceEventKind,
    Environment,
    Platform,
    Reason,
)


class Account(models.Model):
    """A user of either app, with what pushing needs to know."""

    account_id = models.CharField(_("account ID"), max_length=64, primary_key=True)
    login_status = models.PositiveSmallIntegerField(
        _("login status"), default=1, choices=[(1, _("logged in")), (0, _("logged out"))]
    )
    push_status = models.PositiveSmallIntegerField(
        _("push status"), default=1, choices=[(1, _("accepts pushes")), (0, _("do not disturb"))]
    )
    muted_conversations = JsonField(_("muted conversations"), default=list, blank=True)
    blocked_accounts = JsonField(_("blocked accounts"), default=list, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")

    def __str__(self) -> str:
        return self.account_id


class Device(models.Model):
    """One installation of an app. Deactivated devices keep their row, reason and history."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="devices", verbose_name=_("account"))
    app = models.CharField(_("app"), max_length=8, choices=App)
    platform = models.CharField(_("platform"), max_length=8, choices=Platform)
    environment = models.CharField(_("environment"), max_length=12, choices=Environment, default=Environment.PRODUCTION)
    # Which service issued the token.
    channel = models.CharField(
        _("channel"), max_length=12, choices=Channel, default=DEFAULT_CHANNEL, db_default=DEFAULT_CHANNEL.value
    )
    token = models.CharField(_("token"), max_length=MAX_TOKEN)
    # The app's own name of this installation: one installation gets a push through one of its channels. "" if unknown.
    installation_id = models.CharField(
        _("installation"), max_length=MAX_INSTALLATION, blank=True, default="", db_default=""
    )
    is_active = models.BooleanField(_("active"), default=True)
    deactivated_reason = models.CharField(_("deactivation reason"), max_length=24, blank=True, choices=Reason)
    deactivated_at = models.DateTimeField(_("deactivated at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    seen_at = models.DateTimeField(_("last registered at"), default=timezone.now)

    class Meta:
        verbose_name = _("device")
        verbose_name_plural = _("devices")
        permissions = [
            ("reveal_device", gettext_noop("Can see whole device tokens")),
            ("test_device", gettext_noop("Can send a test push to a device")),
        ]
        constraints = [models.UniqueConstraint(fields=["token", "app"], name="one_device_per_token_and_app")]
        indexes = [
            models.Index(fields=["app", "is_active", "id"], name="device_app_active"),
            models.Index(fields=["installation_id", "app"], name="device_installation"),
        ]

    def __str__(self) -> str:
        return f"{self.app} {self.platform} {self.masked_token}"

    @property
    def masked_token(self) -> str:
        """Enough to distinguish two tokens, not enough to push to one."""
        return mask_token(self.token)


class DeviceTag(models.Model):
    """A word that broadcasts can be addressed to. The device's app is repeated here, so that one index answers "the
    next devices of this app with this tag"."""

    device = models.ForeignKey(Device, models.CASCADE, related_name="tags", verbose_name=_("device"))
    app = models.CharField(_("app"), max_length=8, choices=App)
    tag = models.CharField(_("tag"), max_length=32)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ["tag"]
        constraints = [models.UniqueConstraint(fields=["app", "tag", "device"], name="one_tag_once_per_device")]

    def __str__(self) -> str:
        return self.tag


class DeviceEvent(models.Model):
    """One event in the history of a device's token."""

    device = models.ForeignKey(Device, models.CASCADE, related_name="events", verbose_name=_("device"))
    event = models.CharField(_("event"), max_length=12, choices=DeviceEventKind)
    reason = models.CharField(_("reason"), max_length=24, blank=True, choices=Reason)
    detail = models.CharField(_("detail"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("device event")
        verbose_name_plural = _("device events")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.event} {self.created_at:%Y-%m-%d %H:%M}"


def mask_token(token: str) -> str:
    """Return the ends of a device token."""
    return f"{token[:4]}…{token[-4:]}" if len(token) > 12 else "…" if token else ""
