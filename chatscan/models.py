"""The position of each scanner, and the log of rewinds."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from chatscan.names import Mode
from pushes.names import Kind


class ScannerPosition(models.Model):
    """The position and the state of one scanner.

    `cursors` and `floors` map a scale of creation times to a cursor as `bson_text.encode` writes it. The columns
    down to `late` change only together with the records that they cover, by compare-and-set on `version`.
    The others are news about the process; they may be overwritten at any time.
    """

    kind = models.CharField(
        _("scanner"),
        max_length=10,
        primary_key=True,
        choices=[(Kind.GROUP.value, Kind.GROUP.label), (Kind.PRIVATE.value, Kind.PRIVATE.label)],
    )
    version = models.PositiveBigIntegerField(_("version"), default=0)
    cursors = models.JSONField(_("position"), default=dict)
    # Nothing before these is read again: the position of the first start, or of a rewind.
    floors = models.JSONField(_("read from"), default=dict)
    position_at = models.DateTimeField(_("read up to"), null=True)
    read = models.PositiveBigIntegerField(_("documents read"), default=0)
    accepted = models.PositiveBigIntegerField(_("pushes submitted"), default=0)
    duplicates = models.PositiveBigIntegerField(_("already submitted"), default=0)
    refused = models.JSONField(_("refused, by reason"), default=dict)
    late = models.PositiveBigIntegerField(_("arrived late"), default=0)

    mode = models.CharField(_("mode"), max_length=10, choices=Mode, default=Mode.STARTING)
    mode_detail = models.CharField(_("reason"), max_length=300, blank=True)
    advice = models.TextField(_("advice"), blank=True, default="")
    lag_seconds = models.FloatField(_("lag (s)"), default=0)
    per_second = models.FloatField(_("messages per second"), default=0)
    odd = models.PositiveIntegerField(_("documents without a usable position"), default=0)
    last_error = models.CharField(_("last error"), max_length=300, blank=True)
    last_error_at = models.DateTimeField(_("last error at"), null=True)
    started_at = models.DateTimeField(_("process started at"), null=True)
    scanned_at = models.DateTimeField(_("last read at"), null=True)
    heartbeat_at = models.DateTimeField(_("last heartbeat"), null=True)
    interval_seconds = models.FloatField(_("interval (s)"), default=0)
    created_at = models.DateTimeField(_("first started at"), auto_now_add=True)

    class Meta:
        verbose_name = _("scanner")
        verbose_name_plural = _("scanners")

    def __str__(self) -> str:
        return self.get_kind_display()


class Rewind(models.Model):
    """One change of a scanner's position by a person."""

    scanner = models.ForeignKey(ScannerPosition, models.CASCADE, related_name="rewinds", verbose_name=_("scanner"))
    to_time = models.DateTimeField(_("rewound to"))
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("by"))
    cursors_before = models.JSONField(_("position before"), default=dict)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("rewind")
        verbose_name_plural = _("rewinds")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.scanner_id} → {self.to_time:%Y-%m-%d %H:%M:%S}"
