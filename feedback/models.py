"""The way back: disputes, nurture, tasks, and answers to reps."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from handoff.models import Handoff
from leadflow.accounts.models import Team
from leadflow.leads.models import Lead

USER = settings.AUTH_USER_MODEL


class Dispute(models.Model):
    """Marketing's objection to a rejection: once per handoff, within 30 days."""

    class Result(models.TextChoices):
        STANDS = "stands", "The rejection stands"
        OVERTURNED = "overturned", "Overturned: offered again"
        LINKED = "linked", "Overturned; the lead is already with sales"

    handoff = models.OneToOneField(Handoff, on_delete=models.PROTECT, related_name="dispute")
    by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    comment = models.TextField()
    at = models.DateTimeField()
    due_at = models.DateTimeField()
    settled_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    settled_at = models.DateTimeField(null=True)
    settle_comment = models.TextField(blank=True)
    result = models.CharField(max_length=12, choices=Result, blank=True)
    new_handoff = models.ForeignKey(Handoff, null=True, on_delete=models.PROTECT, related_name="+")


class RepAnswer(models.Model):
    """Marketing's word back to a rep: "we changed this rule because of your rejections"."""

    to = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="answers_received")
    by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    handoff = models.ForeignKey(Handoff, null=True, on_delete=models.PROTECT, related_name="rep_answers")
    criterion = models.CharField(max_length=20, blank=True)
    at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True)


class Enrolment(models.Model):
    """A lead on a nurture track (its steps stand in the agreement). At most one active per lead."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="enrolments")
    track = models.CharField(max_length=40)
    agreement_id = models.BigIntegerField()
    cause = models.CharField(max_length=80)
    handoff = models.ForeignKey(Handoff, null=True, on_delete=models.SET_NULL, related_name="enrolments")
    hold_id = models.BigIntegerField(null=True)
    started_at = models.DateTimeField()
    paused_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=40, blank=True)
    step_no = models.PositiveSmallIntegerField(default=0)
    next_step_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["lead"], name="one_active_enrolment", condition=Q(ended_at__isnull=True)
            )
        ]
        indexes = [
            models.Index(
                fields=["next_step_at", "id"],
                name="enrolment_due",
                condition=Q(ended_at__isnull=True, paused_at__isnull=True),
            )
        ]


class StepRun(models.Model):
    """A step of a track that was done for a lead."""

    enrolment = models.ForeignKey(Enrolment, on_delete=models.CASCADE, related_name="runs")
    step = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=20)
    text = models.CharField(max_length=200, blank=True)
    due_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    result = models.CharField(max_length=40, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["enrolment", "step"], name="step_once")]


class Task(models.Model):
    """Something a person of ours should do for a lead by a date."""

    class Kind(models.TextChoices):
        CALL = "call", "Call"
        REPAIR = "repair", "Repair the contact data"
        ANSWER = "answer", "Answer"
        TRACK = "track", "Nurture step"
        DUPLICATE = "duplicate", "Sort out a duplicate"
        ASK = "ask", "Sales asks for a lead"

    kind = models.CharField(max_length=12, choices=Kind)
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="tasks")
    text = models.CharField(max_length=300, blank=True)
    owner = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="tasks")
    team = models.ForeignKey(Team, null=True, on_delete=models.PROTECT, related_name="+")
    handoff = models.ForeignKey(Handoff, null=True, on_delete=models.SET_NULL, related_name="tasks")
    # Who of sales asks for the lead; hears what became of it.
    asked_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    done_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    result = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="task_open", condition=Q(done_at__isnull=True))]
