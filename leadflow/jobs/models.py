"""Long work: a job in chunks, resumable after a kill, cancellable, with progress."""

from django.conf import settings
from django.db import models

from leadflow import clock


class Job(models.Model):
    """One piece of long work. `total`, `done` and `failed` count its rows (leads, lines), not chunks."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    kind = models.CharField(max_length=40, db_index=True)
    params = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    total = models.PositiveIntegerField(null=True)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    message = models.TextField(blank=True)
    result = models.JSONField(default=dict)
    result_file = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["id"], name="job_unfinished", condition=models.Q(state__in=["waiting", "running"])
            )
        ]


class JobChunk(models.Model):
    """A part of a job, claimed with SKIP LOCKED; `claimed_at` frees it again after a kill."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="chunks")
    n = models.PositiveIntegerField()
    from_id = models.BigIntegerField()
    to_id = models.BigIntegerField()
    params = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True)
    claimed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "n"], name="chunk_once")]
        indexes = [
            models.Index(
                fields=["job", "n"], name="chunk_open", condition=models.Q(state__in=["waiting", "running"])
            )
        ]


class JobError(models.Model):
    """A row that could not be taken: which line, which field, why, and the line itself."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="errors")
    line = models.PositiveIntegerField()
    field = models.CharField(max_length=120, blank=True)
    reason = models.TextField()
    raw = models.JSONField(null=True)

    class Meta:
        indexes = [models.Index(fields=["job", "line"], name="joberror_line")]
