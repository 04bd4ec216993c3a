"""What an operator has chosen for the console, and the failed logins."""

import zoneinfo

from axes.models import AccessAttempt
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


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
        # Everyone sets their own, and nobody another's.
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.language or '–'} {self.time_zone or '–'}"

    def zone(self) -> zoneinfo.ZoneInfo | None:
        """The chosen zone; None when there is none, or none any more (zones are renamed now and then)."""
        if not self.time_zone:
            return None
        try:
            return zoneinfo.ZoneInfo(self.time_zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            return None


class FailedLogin(AccessAttempt):  # type: ignore[misc]
    """django-axes' count of failures for a name, an address and a browser, under our name and permissions."""

    class Meta:
        proxy = True
        default_permissions = ("view", "delete")
        verbose_name = _("failed login")
        verbose_name_plural = _("failed logins")

    def __str__(self) -> str:
        return f"{self.username or '–'}, {self.ip_address or '–'}"
