"""Operators' preferences and second factors, and failed logins."""

import zoneinfo

from axes.models import AccessAttempt
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_otp.models import Device, TimestampMixin


class OperatorPreferences(models.Model):
    """Language and time zone of one operator; empty: the browser's language, the platform's zone."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="preferences",
        verbose_name=_("operator"),
    )
    language = models.CharField(_("language"), max_length=16, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True)

    class Meta:
        verbose_name = _("operator's preferences")
        verbose_name_plural = _("operators' preferences")
        # Operators set only their own.
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.language or '–'} {self.time_zone or '–'}"

    def zone(self) -> zoneinfo.ZoneInfo | None:
        """The chosen time zone; None when there is none, or it no longer exists (zones are sometimes renamed)."""
        if not self.time_zone:
            return None
        try:
            return zoneinfo.ZoneInfo(self.time_zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            return None


class FailedLogin(AccessAttempt):  # type: ignore[misc]
    """django-axes' count of failures by name, address and browser, under our own name and permissions."""

    class Meta:
        proxy = True
        default_permissions = ("view", "delete")
        verbose_name = _("failed login")
        verbose_name_plural = _("failed logins")

    def __str__(self) -> str:
        return f"{self.username or '–'}, {self.ip_address or '–'}"


class SecondFactor(TimestampMixin, Device):  # type: ignore[misc]
    """An operator's authenticator app (TOTP). Its key and the key of the backup codes' digests are encrypted: a copy of
    the database reveals neither."""

    key_encrypted = models.TextField(editable=False)
    # The newest half-minute whose code was accepted: neither that code nor an older one is accepted again.
    last_step = models.BigIntegerField(default=-1)
    # By how many half-minutes the phone's clock is off.
    drift = models.SmallIntegerField(default=0)
    codes_key_encrypted = models.TextField(blank=True, editable=False)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user"], name="second_factor_user")]

    def __str__(self) -> str:
        return f"#{self.pk}"


class BackupCode(models.Model):
    """One unused backup code, as a keyed digest."""

    factor = models.ForeignKey(SecondFactor, on_delete=models.CASCADE, related_name="codes")
    digest = models.CharField(max_length=64)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"#{self.pk}"


class WrongCode(models.Model):
    """A wrong code of the second factor. `source` is its address, or the known browser."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    source = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["user", "at"], name="wrong_code_user_at")]

    def __str__(self) -> str:
        return f"{self.source}"
