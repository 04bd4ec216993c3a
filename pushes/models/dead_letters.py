"""Dead letters."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from pushes.names import DeadLetterStatus


class DeadLetter(models.Model):
    """Input that could not become a push, kept to the byte with the reason."""

    source = models.CharField(_("source"), max_length=32)
    # Where exactly it stood, so that reading the same input again after a crash adds no second row.
    position = models.CharField(_("position"), max_length=100, unique=True)
    raw = models.BinaryField(_("raw bytes"))
    reason = models.CharField(_("reason"), max_length=32)
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=DeadLetterStatus, default=DeadLetterStatus.NEW)
    created_at = models.DateTimeField(_("received at"), default=timezone.now)
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)

    class Meta:
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        indexes = [
            models.Index(fields=["status", "reason"], name="dead_letter_status_reason"),
            # For retention, and for counting the last hour by source and reason without reading a row.
            models.Index(fields=["created_at", "source", "reason"], name="dead_letter_created"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
