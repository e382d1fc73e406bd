"""The way back: disputes, nurture, tasks, and answers to reps."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Greatest

from feedback.waits import shown
from handoff.models import Handoff
from leadflow.accounts.models import Team
from leadflow.leads.models import Content, Lead

USER = settings.AUTH_USER_MODEL


class BigNumber(models.Field):  # type: ignore[type-arg]
    """A whole number of any length."""

    def db_type(self, connection: object) -> str:
        return "numeric"


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

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="dispute_due")]


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
            ),
            models.Index(
                fields=["lead"],
                name="enrolment_resting",
                condition=Q(ended_at__isnull=True, paused_at__isnull=False),
            ),
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


class Question(models.Model):
    """What a prospect asked, objected or said about the market, as sales heard it."""

    class Kind(models.TextChoices):
        QUESTION = "question", "Question"
        OBJECTION = "objection", "Objection"
        COMPETITOR = "competitor", "Competitor"
        CHANGE = "change", "Change in the market"

    lead = models.ForeignKey(Lead, null=True, on_delete=models.CASCADE, related_name="questions")
    handoff = models.ForeignKey(Handoff, null=True, on_delete=models.SET_NULL, related_name="questions")
    text = models.TextField()
    # Folded, for the trigram index that finds similar ones.
    text_key = models.TextField()
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.QUESTION)
    asked_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    # The first question of its group; null: it is the first itself.
    group = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="similar")
    content = models.ForeignKey(Content, null=True, on_delete=models.SET_NULL, related_name="answers")
    answer = models.TextField(blank=True)
    answered_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    answered_at = models.DateTimeField(null=True)
    # Somebody of marketing writes a new piece for it by this day.
    wanted_by = models.DateField(null=True)
    # Until when marketing promised an answer when it was asked (null: nothing was promised), and when who
    # asked first had one; a better answer later changes neither.
    due_at = models.DateTimeField(null=True)
    first_answer_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["-at"], name="question_at"),
            models.Index(fields=["due_at"], name="question_due", condition=Q(due_at__isnull=False)),
            models.Index(fields=["group"], name="question_group"),
            GinIndex(OpClass("text_key", name="gin_trgm_ops"), name="question_trgm"),
        ]


class ContentUse(models.Model):
    """A piece of content that was given to a lead: by a rep in a handoff or by a step of a track."""

    content = models.ForeignKey(Content, on_delete=models.CASCADE, related_name="uses")
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="content_uses")
    handoff = models.ForeignKey(Handoff, null=True, on_delete=models.SET_NULL, related_name="content_uses")
    step = models.ForeignKey(StepRun, null=True, on_delete=models.SET_NULL, related_name="content_uses")
    by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["content", "at"], name="contentuse_content")]


class PulseRound(models.Model):
    """One month's short survey among sales. The first round is the benchmark."""

    month = models.DateField(unique=True)
    opens_at = models.DateTimeField()
    closes_at = models.DateTimeField()


class PulseAnswer(models.Model):
    """An anonymous answer: the hash keeps a person from answering twice and names nobody."""

    round = models.ForeignKey(PulseRound, on_delete=models.CASCADE, related_name="answers")
    user_hash = models.CharField(max_length=64)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    # 1 (not at all) to 5 (fully): acceptable, in time, with context.
    q1 = models.PositiveSmallIntegerField()
    q2 = models.PositiveSmallIntegerField()
    q3 = models.PositiveSmallIntegerField()
    open = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["round", "user_hash"], name="pulse_once")]


class Review(models.Model):
    """The monthly meeting of both sides: what its page was prefilled with, and the notes taken."""

    month = models.DateField(unique=True)
    # One text for each of the four questions, by key.
    notes = models.JSONField(default=dict)
    # The figures as they stood when the meeting was closed.
    figures = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    lock_version = models.PositiveIntegerField(default=1)


class Decision(models.Model):
    """What the review decided: who does what until when, and the figure that it should move."""

    review = models.ForeignKey(Review, on_delete=models.CASCADE, related_name="decisions")
    text = models.CharField(max_length=300)
    owner = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    due = models.DateField()
    # Name of a figure of the review page, and what it was when this was decided.
    figure = models.CharField(max_length=40, blank=True)
    figure_before = models.DecimalField(max_digits=12, decimal_places=3, null=True)
    # The draft that it opened.
    agreement_id = models.BigIntegerField(null=True)
    done_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()


class Goal(models.Model):
    """A revenue goal: how much until when, and rates that somebody typed where data is thin."""

    name = models.CharField(max_length=80)
    amount = models.DecimalField(max_digits=14, decimal_places=2)
    starts_on = models.DateField()
    ends_on = models.DateField()
    rates = models.JSONField(default=dict)
    created_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()


class ReportRollup(models.Model):
    """Figures of a report for one day and key, kept so that long ranges stay quick; rebuildable."""

    report = models.CharField(max_length=30)
    key = models.CharField(max_length=120)
    day = models.DateField()
    figures = models.JSONField(default=dict)
    built_at = models.DateTimeField()
    dirty = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["report", "key", "day"], name="rollup_once")]
        indexes = [models.Index(fields=["report", "day"], name="rollup_dirty", condition=Q(dirty=True))]


class LeadJourney(models.Model):
    """When a lead first reached each step, one narrow row per lead, kept so that cohorts of years are quick.

    Derived from the ledgers and rebuildable at any time: `feedback.reports.journeys` writes it, `audit`
    compares. `gone`: merged or erased. `persona` is the key of the agreement's persona at the last look.
    """

    lead = models.OneToOneField(Lead, primary_key=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField()
    first_source = models.CharField(max_length=80, blank=True)
    first_campaign_id = models.BigIntegerField(null=True)
    persona = models.CharField(max_length=40, blank=True)
    gone = models.BooleanField(default=False)
    stage = models.CharField(max_length=12, default="conversion")
    # The state of its open handoff, empty without one: most places are told by this and the stage.
    open_state = models.CharField(max_length=12, blank=True)
    mql_at = models.DateTimeField(null=True)
    offered_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    opportunity_at = models.DateTimeField(null=True)
    customer_at = models.DateTimeField(null=True)
    # A deal without a date: it counts, but not for how long things take.
    undated = models.BooleanField(default=False)
    # The teams of its handoffs; null without any.
    teams = ArrayField(models.BigIntegerField(), null=True)
    # When it last went a step: what is earlier than an instant stands in `JourneyDay` as it was then.
    last_at = models.GeneratedField(
        expression=Greatest(
            "created_at", "mql_at", "offered_at", "accepted_at", "opportunity_at", "customer_at"
        ),
        output_field=models.DateTimeField(),
        db_persist=True,
    )

    class Meta:
        # Whole cohorts are read from the index alone.
        indexes = [
            models.Index(
                fields=["last_at", "created_at"],
                name="leadjourney_last",
                condition=Q(gone=False),
                include=["lead"],
            ),
            models.Index(
                fields=["created_at"],
                name="leadjourney_handed",
                condition=Q(gone=False, teams__isnull=False),
                include=[
                    "lead",
                    "first_source",
                    "first_campaign_id",
                    "persona",
                    "stage",
                    "open_state",
                    "teams",
                    "mql_at",
                    "offered_at",
                    "accepted_at",
                    "opportunity_at",
                    "customer_at",
                    "undated",
                ],
            ),
            models.Index(
                fields=["created_at"],
                name="leadjourney_won",
                condition=Q(gone=False, customer_at__isnull=False),
            ),
            models.Index(
                fields=["created_at"],
                name="leadjourney_span",
                condition=Q(gone=False),
                include=[
                    "lead",
                    "first_source",
                    "first_campaign_id",
                    "persona",
                    "stage",
                    "open_state",
                    "mql_at",
                    "offered_at",
                    "accepted_at",
                    "opportunity_at",
                    "customer_at",
                    "undated",
                ],
            ),
            models.Index(fields=["first_source"], name="leadjourney_source"),
        ]


class JourneyDay(models.Model):
    """How many leads came on a day, by what they came by and who they are, and how far they went since.

    The sum of `LeadJourney` without whoever is gone, written in the same transactions: years are a few
    thousand rows. The spans count leads that went both steps of `feedback.reports.velocity`; `stage` and
    `open_state` say where they stand.
    """

    day = models.DateField()
    first_source = models.CharField(max_length=80, blank=True)
    first_campaign_id = models.BigIntegerField(null=True)
    persona = models.CharField(max_length=40, blank=True)
    stage = models.CharField(max_length=12)
    open_state = models.CharField(max_length=12, blank=True)
    leads = models.IntegerField()
    mql = models.IntegerField()
    offered = models.IntegerField()
    accepted = models.IntegerField()
    opportunity = models.IntegerField()
    customer = models.IntegerField()
    span_mql = models.IntegerField()
    span_offered = models.IntegerField()
    span_accepted = models.IntegerField()
    span_opportunity = models.IntegerField()
    span_customer = models.IntegerField()
    span_whole = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["day"], name="journeyday_day")]


class SpanWeek(models.Model):
    """How many leads that came in a week went from one step to another within how many days.

    Of `LeadJourney` without whoever is gone, kept by difference (`feedback.reports.weeks`). `tenths`: the
    length in tenths of a day as it is shown, whole days from ten on. `first_campaign_id` is 0 without one.
    """

    week = models.DateField()
    first_source = models.CharField(max_length=80, blank=True)
    first_campaign_id = models.BigIntegerField(default=0)
    persona = models.CharField(max_length=40, blank=True)
    span = models.CharField(max_length=12)
    tenths = models.IntegerField()
    n = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["week", "first_source", "first_campaign_id", "persona", "span", "tenths"],
                name="spanweek_one",
            )
        ]


def _waited(column: str) -> models.GeneratedField:
    """Seconds from the offer to an instant, as reports show them; the database reckons them once a row."""
    wait = models.Func(column, "offered_at", template=shown("%(expressions)s"), arg_joiner=" - ")
    return models.GeneratedField(
        expression=wait, output_field=models.IntegerField(null=True), db_persist=True
    )


class HandoverKept(models.Model):
    """A handoff and what came of it in one narrow row, so that reports on thousands of them are quick.

    Derived from the ledgers as `LeadJourney` is, at the same time and as rebuildable. `gone`: its lead is
    merged or erased; `alone`: the only one of its lead. `revenue` is of deals won since the offer, the
    last of them at `won_at`. `persona` and `known` (all that sales must know) are as they stood at the offer.
    """

    handoff = models.OneToOneField(Handoff, primary_key=True, on_delete=models.CASCADE, related_name="+")
    lead_id = models.BigIntegerField(db_index=True)
    gone = models.BooleanField(default=False)
    alone = models.BooleanField(default=True)
    owner_id = models.BigIntegerField(null=True)
    team_id = models.BigIntegerField(null=True)
    agreement_id = models.BigIntegerField(null=True)
    kind = models.CharField(max_length=20)
    grade = models.CharField(max_length=2, blank=True)
    first_source = models.CharField(max_length=80, blank=True)
    first_campaign_id = models.BigIntegerField(null=True)
    persona = models.CharField(max_length=40, blank=True)
    known = models.BooleanField(null=True)
    offered_at = models.DateTimeField()
    touched_at = models.DateTimeField(null=True)
    reached_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    refused_at = models.DateTimeField(null=True)
    opportunity_at = models.DateTimeField(null=True)
    customer_at = models.DateTimeField(null=True)
    won_at = models.DateTimeField(null=True)
    revenue = models.DecimalField(max_digits=16, decimal_places=2, null=True)
    # How long the first contact took, and the answer.
    called_after = _waited("touched_at")
    answered_after = _waited("answered_at")

    class Meta:
        indexes = [
            models.Index(fields=["offered_at"], name="handoverkept_offered", condition=Q(gone=False)),
            # Those of which something came after an instant.
            models.Index(Greatest("accepted_at", "refused_at", "customer_at"), name="handoverkept_last"),
            # Few leads are handed over again: their first handover of a period is looked for among these.
            models.Index(
                fields=["offered_at"], name="handoverkept_again", condition=Q(gone=False, alone=False)
            ),
        ]


class LinePlace(models.Model):
    """Where the lines of a rule stand in the numbers of `HandoverLines`: those that gave points, or `took`
    some. Numbered from 0 as rules are met; a place never changes."""

    place = models.PositiveSmallIntegerField(primary_key=True)
    criterion = models.CharField(max_length=40)
    took = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["criterion", "took"], name="lineplace_once")]


class HandoverLines(models.Model):
    """What each rule gave a lead when it was handed over, as one number (`feedback.reports.lines`), and the
    `places` of the rules in it.

    A frozen explanation never changes, so neither does a row; it is taken out of `Handoff.frozen` with the
    kept handoffs, because unpacking tens of thousands of those takes seconds.
    """

    handoff = models.OneToOneField(Handoff, primary_key=True, on_delete=models.CASCADE, related_name="+")
    lines = BigNumber(default=0)
    places = ArrayField(models.PositiveSmallIntegerField(), default=list)


class HandedWeek(models.Model):
    """The leads handed over once, by the week of the offer and what came of them: how many, and their lines
    added up. `by` and `key` say which filter finds them; without any both are empty."""

    week = models.DateField()
    by = models.CharField(max_length=10, blank=True)
    key = models.CharField(max_length=80, blank=True)
    accepted = models.BooleanField()
    refused = models.BooleanField()
    customer = models.BooleanField()
    n = models.BigIntegerField()
    lines = BigNumber()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["by", "key", "week", "accepted", "refused", "customer"], name="handedweek_once"
            )
        ]


class AnswerKept(models.Model):
    """An answer of sales with what reports ask of it in one narrow row: accepted, rejected or given back, not
    taken back. `places` are those of the rules that gave or took points (null: not kept); the rest is as
    in its lead, its handoff and the persona frozen there ("~" behind one that it only looked like)."""

    answer_id = models.BigIntegerField(primary_key=True)
    lead_id = models.BigIntegerField(db_index=True)
    handoff_id = models.BigIntegerField(db_index=True)
    kind = models.CharField(max_length=10)
    reason_key = models.CharField(max_length=20, blank=True)
    reason_kind = models.CharField(max_length=20, blank=True)
    rep_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(db_index=True)
    first_source = models.CharField(max_length=80, blank=True)
    first_campaign_id = models.BigIntegerField(null=True)
    persona = models.CharField(max_length=80, blank=True)
    persona_name = models.TextField(blank=True)
    team_id = models.BigIntegerField(null=True)
    agreement_id = models.BigIntegerField(null=True)
    places = ArrayField(models.PositiveSmallIntegerField(), null=True)


class AnswerWeek(models.Model):
    """Answers of sales by week, kind and reason: how many, and the lines of their handoffs added up. `by` and
    `key` as in `HandedWeek`, besides of reps and of rules that gave points."""

    week = models.DateField()
    by = models.CharField(max_length=10, blank=True)
    key = models.CharField(max_length=80, blank=True)
    kind = models.CharField(max_length=10)
    reason_key = models.CharField(max_length=20, blank=True)
    judged = models.BooleanField()
    n = models.BigIntegerField()
    lines = BigNumber()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["by", "key", "week", "kind", "reason_key", "judged"], name="answerweek_once"
            )
        ]


class PromiseKept(models.Model):
    """A promise of sales that ended, kept or missed, in one narrow row with what reports ask of its handoff.

    Derived from `handoff.SlaResult` as `HandoverKept` is from the ledgers, at the same time and as
    rebuildable; what still runs and what is void has no row. `promise` is the place in
    `feedback.reports.dues.PROMISES`.
    """

    result_id = models.BigIntegerField(primary_key=True)
    lead_id = models.BigIntegerField(db_index=True)
    of_holder = models.BooleanField()
    promise = models.PositiveSmallIntegerField()
    met = models.BooleanField()
    holder_id = models.BigIntegerField(null=True)
    team_id = models.BigIntegerField(null=True)
    agreement_id = models.BigIntegerField(null=True)
    due = models.DateTimeField(db_index=True)
    offered_at = models.DateTimeField()
    reached_at = models.DateTimeField(null=True)
    grade = models.CharField(max_length=2, blank=True)
    first_source = models.CharField(max_length=80, blank=True)
    first_campaign_id = models.BigIntegerField(null=True)
    persona = models.CharField(max_length=40, blank=True)


class PromiseWeek(models.Model):
    """How many promises of sales fell due in a week and how many were kept, one row for each `key` of `by`.

    The sum of `PromiseKept`, written in the same transactions. Each promise stands in it for everything
    (`narrow` empty) and once for each filter that finds it, so that years under a filter are as few rows.
    """

    week = models.DateField()
    narrow = models.CharField(max_length=8, blank=True)
    value = models.CharField(max_length=80, blank=True)
    by = models.CharField(max_length=5)
    key = models.CharField(max_length=20)
    of_holder = models.BooleanField()
    promise = models.PositiveSmallIntegerField()
    met = models.IntegerField()
    missed = models.IntegerField()
    reached = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["narrow", "value", "by", "week", "key", "of_holder", "promise"],
                name="promiseweek_once",
            )
        ]
        indexes = [
            # What has come to nothing is taken out.
            models.Index(fields=["week"], name="promiseweek_empty", condition=Q(met=0, missed=0))
        ]


class WeeklyMail(models.Model):
    """A report, with its filters, that a person gets by mail each week."""

    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="weekly_mails")
    report = models.CharField(max_length=30)
    query = models.CharField(max_length=500, blank=True)
    weekday = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["next_at"], name="weeklymail_due")]
