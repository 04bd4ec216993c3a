"""Counters for charts, and leases for work that only one process does at a time."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from pushes.names import JobRefusal, Kind


class MinuteCount(models.Model):
    """How often something happened in one minute (or, once older than a day, one hour): what charts read, summed over
    the nodes of a cluster of databases."""

    class Granularity(models.TextChoices):
        MINUTE = "minute", _("minute")
        HOUR = "hour", _("hour")

    granularity = models.CharField(max_length=6, choices=Granularity)
    bucket_at = models.DateTimeField()
    kind = models.CharField(max_length=10, choices=Kind)
    # A delivery status that was reached, `submitted` for an accepted record, `not_kept` for a dead letter left out.
    event = models.CharField(max_length=10)
    reason = models.CharField(max_length=20, blank=True)
    app_key_id = models.BigIntegerField(default=0)
    # Of a cluster of databases: nodes that count in rows of their own never conflict (see `ledger.counters`).
    node = models.PositiveSmallIntegerField(default=1, db_default=1)
    count = models.PositiveBigIntegerField()

    class Meta:
        db_table = "pushes_counter"
        constraints = [
            models.UniqueConstraint(
                fields=["granularity", "bucket_at", "kind", "event", "reason", "app_key_id", "node"],
                name="one_counter_per_node",
            )
        ]

    def __str__(self) -> str:
        return f"{self.bucket_at:%Y-%m-%d %H:%M} {self.kind} {self.event} {self.count}"


class BroadcastTally(models.Model):
    """How many deliveries of one broadcast were made, or came to one end, within ten seconds: what its progress
    page reads, and what halts it."""

    MADE = "made"
    #: Instead of a reason: made for a listed account without a device.
    WITHOUT_DEVICE = "without_device"
    # An answer about the token that is not believed. Not an end: the push waits (see `pushes.keys.belief`).
    DOUBTED = "doubted"
    SECONDS = 10

    broadcast_id = models.BigIntegerField()
    bucket_at = models.DateTimeField()
    # A terminal delivery status, `made` or `doubted`.
    event = models.CharField(max_length=10)
    reason = models.CharField(max_length=20, blank=True)
    # Of a cluster of databases: nodes that count in rows of their own never conflict (see `ledger.counters`).
    node = models.PositiveSmallIntegerField(default=1, db_default=1)
    count = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["broadcast_id", "bucket_at", "event", "reason", "node"], name="one_tally_per_node"
            )
        ]

    def __str__(self) -> str:
        return f"#{self.broadcast_id} {self.bucket_at:%Y-%m-%d %H:%M:%S} {self.event} {self.count}"


class LatencyBucket(models.Model):
    """How many pushes took at most `le_ms` milliseconds from accepted record to the provider's yes, and
    longer than the next smaller bound; 0 stands for longer than all."""

    BOUNDS_MS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, 60_000)

    granularity = models.CharField(max_length=6, choices=MinuteCount.Granularity)
    bucket_at = models.DateTimeField()
    kind = models.CharField(max_length=10, choices=Kind)
    le_ms = models.PositiveIntegerField()
    # Of a cluster of databases: nodes that count in rows of their own never conflict (see `ledger.counters`).
    node = models.PositiveSmallIntegerField(default=1, db_default=1)
    count = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["granularity", "bucket_at", "kind", "le_ms", "node"], name="one_bucket_per_node"
            )
        ]

    def __str__(self) -> str:
        return f"{self.bucket_at:%Y-%m-%d %H:%M} {self.kind} ≤{self.le_ms} ms {self.count}"


class RefusedJob(models.Model):
    """How many jobs of a lane its workers have refused for one reason, ever, and the last of them."""

    lane = models.CharField(max_length=10, choices=Kind)
    reason = models.CharField(max_length=20, choices=JobRefusal)
    count = models.PositiveBigIntegerField(default=0)
    last_at = models.DateTimeField()
    detail = models.CharField(max_length=300)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lane", "reason"], name="one_refused_job")]

    def __str__(self) -> str:
        return f"{self.lane} {self.reason} {self.count}"


class Lease(models.Model):
    """Work that only one process does at a time, until the lease ends."""

    name = models.CharField(max_length=64, primary_key=True)
    holder = models.CharField(max_length=64)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"
