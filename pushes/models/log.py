"""What the delivery log needs besides its rows: resends, exports, and where rare rows are."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from pushes.models.ledger import PushRecord
from pushes.names import MAX_TOKEN, ExportStatus


class Resend(models.Model):
    """A push that is an operator's resend of one delivery, to its device only.

    The delivery of `delivery_id` may be removed by retention before its resend is.
    """

    record = models.OneToOneField(PushRecord, models.CASCADE, related_name="resend", verbose_name=_("push"))
    delivery_id = models.BigIntegerField(_("delivery"))
    # Empty: the first attempt had no device.
    token = models.CharField(_("token"), max_length=MAX_TOKEN, blank=True)
    by = models.CharField(_("by"), max_length=150)
    may_be_duplicate = models.BooleanField(_("may arrive twice"), default=False)
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("re-send")
        verbose_name_plural = _("re-sends")
        indexes = [models.Index(fields=["delivery_id"], name="resend_delivery")]

    def __str__(self) -> str:
        return f"#{self.record_id} for delivery #{self.delivery_id}"


class Export(models.Model):
    """An export of the delivery log to a CSV file, a piece at a time.

    The progress is stored here, not in a process: the holder of the lease stores the next piece and moves `cursor`,
    `rows` and `size` in one transaction.
    """

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("requested by")
    )
    # The list's URL, with its filters and its search; and the newest row at that time.
    query = models.TextField(_("filters"), blank=True)
    understood = models.CharField(_("search"), max_length=300, blank=True)
    language = models.CharField(max_length=10, default="en")
    shows_tokens = models.BooleanField(_("full tokens"), default=False)
    status = models.CharField(_("status"), max_length=10, choices=ExportStatus, default=ExportStatus.WAITING)
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    newest_id = models.BigIntegerField(default=0)
    oldest_id = models.BigIntegerField(default=0)
    # Rows with this id and above are done.
    cursor = models.BigIntegerField(default=0)
    rows = models.PositiveIntegerField(_("rows"), default=0)
    size = models.PositiveBigIntegerField(_("bytes"), default=0)
    is_cut = models.BooleanField(_("stopped at the limit"), default=False)
    holder = models.CharField(max_length=16, blank=True, default="")
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(_("requested at"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        default_permissions = ()
        permissions = [("see_every_export", gettext_noop("Can see and fetch everybody's exports"))]
        indexes = [models.Index(fields=["status", "id"], name="export_status")]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def percent(self) -> float:
        """How far it has got through the ids, in per cent."""
        if self.status == ExportStatus.DONE:
            return 100.0
        span = self.newest_id + 1 - self.oldest_id
        done = self.newest_id + 1 - self.cursor
        return round(100 * max(0, min(done, span)) / span, 1) if span > 0 else 0.0


class ExportPiece(models.Model):
    """Some lines of an exported file, compressed. Stored in the database, so that any web process can serve it."""

    export = models.ForeignKey(Export, models.CASCADE, related_name="pieces")
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["export", "number"], name="one_export_piece")]

    def __str__(self) -> str:
        return f"#{self.export_id}.{self.number}"


class LogBlock(models.Model):
    """A note that a block of `blocks.SIZE` ids of the log contains rows with this value, for searches of rare rows.

    `value` is ANY for rows that were unfinished when the block was read: by now they may have any value. `places` are
    the rows' places in the block, as `3 17 999`, if there are at most `blocks.MAX_PLACES`; otherwise empty.
    """

    ANY = "*"

    number = models.PositiveBigIntegerField()
    name = models.CharField(max_length=12)
    value = models.CharField(max_length=20)
    places = models.CharField(max_length=256, blank=True, default="", db_default="")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["name", "value", "number"], name="one_log_block_entry")]
        indexes = [models.Index(fields=["number"], name="log_block_number")]

    def __str__(self) -> str:
        return f"{self.number}: {self.name} {self.value}"
