"""The agreement, its signatures, the scores it gives, and the leads that reach the bar."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from leadflow.leads.models import Lead

USER = settings.AUTH_USER_MODEL


class Agreement(models.Model):
    """One version of the contract between marketing and sales. Immutable once proposed.

    `content` is canonical JSON (see docs/agreement.md), `sha256` its hash from the proposal on.
    `lock_version` counts the saves of a draft, so that two people do not overwrite each other.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        PROPOSED = "proposed", "Proposed"
        SIGNED = "signed", "Signed"
        IN_FORCE = "in_force", "In force"
        SUPERSEDED = "superseded", "Superseded"
        DECLINED = "declined", "Declined"
        WITHDRAWN = "withdrawn", "Withdrawn"

    class Release(models.TextChoices):
        TRICKLE = "trickle", "Trickle in, best first"
        NEW_EVIDENCE = "new_evidence", "Only on new evidence"
        ALL_NOW = "all_now", "All now"

    number = models.PositiveIntegerField(unique=True)
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    content = models.JSONField()
    sha256 = models.CharField(max_length=64, blank=True)
    engine = models.PositiveSmallIntegerField(default=1)
    based_on = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    note = models.TextField(blank=True)
    zone = models.CharField(max_length=50, default="UTC")
    created_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    proposed_at = models.DateTimeField(null=True)
    proposed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    # When it is to be in force: null = as soon as both have signed.
    in_force_from = models.DateTimeField(null=True)
    in_force_at = models.DateTimeField(null=True)
    superseded_at = models.DateTimeField(null=True)
    release = models.CharField(max_length=12, choices=Release, default=Release.TRICKLE)
    release_job_id = models.BigIntegerField(null=True)
    lock_version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["state"], name="one_agreement_in_force", condition=Q(state="in_force")
            )
        ]

    def __str__(self) -> str:
        return f"Agreement v{self.number}"


class Signature(models.Model):
    """One side's yes to one version. `voided_at`: a later draft took its place before it was in force."""

    class Side(models.TextChoices):
        MARKETING = "marketing", "Marketing"
        SALES = "sales", "Sales"

    agreement = models.ForeignKey(Agreement, on_delete=models.PROTECT, related_name="signatures")
    side = models.CharField(max_length=10, choices=Side)
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)
    at = models.DateTimeField()
    method = models.CharField(max_length=20, default="password")
    voided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["agreement", "side"],
                name="one_signature_per_side",
                condition=Q(voided_at__isnull=True),
            ),
            models.UniqueConstraint(
                fields=["agreement", "user"],
                name="one_signature_per_person",
                condition=Q(voided_at__isnull=True),
            ),
        ]


class Decline(models.Model):
    """One side's no, with the reason."""

    agreement = models.ForeignKey(Agreement, on_delete=models.PROTECT, related_name="declines")
    side = models.CharField(max_length=10, choices=Signature.Side)
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    comment = models.TextField()
    at = models.DateTimeField()


class ListSnapshot(models.Model):
    """A long list (free-mail domains) as it was on one day, named by the SHA-256 of its sorted entries."""

    sha256 = models.CharField(max_length=64, unique=True)
    key = models.CharField(max_length=40)
    at = models.DateTimeField()


class ListEntry(models.Model):
    """One entry of a snapshot, folded."""

    snapshot = models.ForeignKey(
        ListSnapshot, on_delete=models.CASCADE, related_name="entries", db_index=False
    )
    value = models.CharField(max_length=253)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["snapshot", "value"], name="list_entry_once")]


class LeadScore(models.Model):
    """The present score of a lead: integers only. Written only when something changed."""

    # No constraints in the database here and in ScoreChange: a rescore would look up its lead twice, and lock
    # the same agreement, for each of a million rows, at twice the cost of the whole. The engine alone writes
    # both, for leads that it has locked and an agreement that it has read; Django refuses to delete either.
    lead = models.OneToOneField(
        Lead, primary_key=True, on_delete=models.CASCADE, related_name="score", db_constraint=False
    )
    fit = models.SmallIntegerField()
    behaviour = models.SmallIntegerField()
    value = models.SmallIntegerField()
    total = models.SmallIntegerField()
    grade = models.CharField(max_length=2)
    agreement = models.ForeignKey(
        Agreement, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    draft_sha = models.CharField(max_length=64, blank=True)
    # A preview comes from an unsigned draft: nothing goes to sales by it.
    preview = models.BooleanField(default=False)
    ready = models.BooleanField(default=False)
    scored_at = models.DateTimeField()
    known_at = models.DateTimeField()
    # When an integer changed last, for `changed_since` of the API; a touch of the lead's own row for each
    # would cost ten indexes. Null in a preview.
    changed_at = models.DateTimeField(null=True)
    refresh_due_at = models.DateTimeField(null=True)
    # Since when `mql_leave_when` has held without a break.
    leave_since = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["refresh_due_at"], name="score_refresh", condition=Q(refresh_due_at__isnull=False)
            ),
            models.Index(fields=["-total", "lead"], name="score_total"),
            models.Index(
                fields=["changed_at", "lead"], name="score_changed", condition=Q(changed_at__isnull=False)
            ),
        ]


class ScoreChange(models.Model):
    """A change of an integer of a score. Append only; `from_…` null for the first score."""

    lead = models.ForeignKey(
        Lead, on_delete=models.CASCADE, related_name="score_changes", db_index=False, db_constraint=False
    )
    at = models.DateTimeField()
    known_at = models.DateTimeField()
    from_fit = models.SmallIntegerField(null=True)
    from_behaviour = models.SmallIntegerField(null=True)
    from_value = models.SmallIntegerField(null=True)
    from_total = models.SmallIntegerField(null=True)
    from_grade = models.CharField(max_length=2, blank=True)
    fit = models.SmallIntegerField()
    behaviour = models.SmallIntegerField()
    value = models.SmallIntegerField()
    total = models.SmallIntegerField()
    grade = models.CharField(max_length=2)
    cause = models.CharField(max_length=80)
    agreement = models.ForeignKey(
        Agreement, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )

    class Meta:
        indexes = [models.Index(fields=["lead", "at", "id"], name="scorechange_lead")]


class LeadLook(models.Model):
    """When a person last looked at a lead, so that the page can say what changed since.

    A visit goes on while the looks are less than half an hour apart: `at` is its last look, `before` the last
    one of the visit before it (null: there was none).
    """

    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+")
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    before = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "lead"], name="one_look_a_person")]


class Crossing(models.Model):
    """A scoring found the lead ready (or left out). Handoff pulls the unhandled ones."""

    class Kind(models.TextChoices):
        BAR = "bar"
        FAST_TRACK = "fast_track"
        EXISTING_CUSTOMER = "existing_customer"
        CALLBACK = "callback"
        REPAIRED = "repaired"
        EXCLUDE = "exclude"

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="crossings")
    at = models.DateTimeField()
    known_at = models.DateTimeField()
    kind = models.CharField(max_length=20, choices=Kind)
    fast_track_no = models.PositiveSmallIntegerField(null=True)
    agreement = models.ForeignKey(Agreement, on_delete=models.PROTECT, related_name="+")
    # {"activity": id} or {"field": key} or {"hold": id}: what made it ready, for "why now".
    cause = models.JSONField(default=dict)
    handled_at = models.DateTimeField(null=True)
    # opened · waiting · withdrawn · dropped (no longer ready)
    handled_as = models.CharField(max_length=20, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["lead", "kind"], name="one_crossing_pending", condition=Q(handled_at__isnull=True)
            )
        ]
        indexes = [models.Index(fields=["id"], name="crossing_pending", condition=Q(handled_at__isnull=True))]


class Hold(models.Model):
    """Why a lead is not ready although its score says so. Written only through `scoring.engine.hold()`.

    It ends when `until` has passed and the evidence was recorded after `since`.
    `evidence`: {"kind": "any"} any own act · {"kind": "criteria", "ids": […]} · {"kind": "fields",
    "keys": […]} · {"kind": "colleague"} another lead of the company became an MQL or ready for sales (with
    "keys": or one of these facts changed) · {"kind": "none"} (only the date, or a person, ends it) ·
    {"kind": "repair"}.
    """

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="holds")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    evidence = models.JSONField(default=dict)
    reason_key = models.CharField(max_length=20, blank=True)
    # Even a fast-track act does not end it.
    closes = models.BooleanField(default=False)
    handoff_id = models.BigIntegerField(null=True)
    # When the date comes the lead is offered again whatever its score (kinds callback and repaired).
    reopens_as = models.CharField(max_length=20, blank=True)
    # When the date was seen to have come; the evidence may be still to come.
    checked_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lead"], name="one_open_hold", condition=Q(ended_at__isnull=True))
        ]
        indexes = [
            models.Index(fields=["until"], name="hold_until", condition=Q(ended_at__isnull=True)),
            # Whom marketing put aside by hand: few among all who wait, and asked for by every list of MQLs.
            models.Index(
                fields=["lead"], name="hold_parked", condition=Q(ended_at__isnull=True, reason_key="parked")
            ),
            # What nurture asks every few seconds: whose wait has just come to an end.
            models.Index(fields=["ended_at"], name="hold_ended", condition=Q(ended_at__isnull=False)),
            models.Index(
                fields=["checked_at"],
                name="hold_passed",
                condition=Q(ended_at__isnull=True, checked_at__isnull=False),
            ),
        ]


class PreviewRun(models.Model):
    """One exact look at who would move if a draft came into force. An edit of the draft cancels it."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"
        FAILED = "failed"

    draft = models.ForeignKey(Agreement, on_delete=models.CASCADE, related_name="previews")
    draft_sha = models.CharField(max_length=64)
    against = models.ForeignKey(Agreement, null=True, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    # A bar that is only tried, not in the draft.
    bar = models.SmallIntegerField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    job_id = models.BigIntegerField(null=True)
    result = models.JSONField(default=dict)
    created_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["draft", "draft_sha", "-id"], name="preview_of_draft")]


class PreviewPart(models.Model):
    """What a look found of one range of leads, packed: each position of the arrays is one lead.

    `n` counts the ranges; -1 is the first look at a sample. `was` by the version in force (-1: none), `now`
    by the draft. Grades are letter and digit as two digits (A1 = 11), stages as numbers, `flags` as bits;
    see `scoring.whatif.scan`.
    """

    run = models.ForeignKey(PreviewRun, on_delete=models.CASCADE, related_name="parts", db_index=False)
    n = models.IntegerField()
    leads = ArrayField(models.BigIntegerField())
    was = ArrayField(models.SmallIntegerField())
    now = ArrayField(models.SmallIntegerField())
    was_grade = ArrayField(models.SmallIntegerField())
    now_grade = ArrayField(models.SmallIntegerField())
    was_stage = ArrayField(models.SmallIntegerField())
    now_stage = ArrayField(models.SmallIntegerField())
    flags = ArrayField(models.IntegerField())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "n"], name="preview_part_once")]


class BacktestRun(models.Model):
    """A version of the agreement tried on leads whose end is known, each as it was known at its decision."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"
        FAILED = "failed"

    agreement = models.ForeignKey(Agreement, on_delete=models.CASCADE, related_name="backtests")
    sha256 = models.CharField(max_length=64)
    # What counts as a good end: "accepted" by sales or "customer".
    goal = models.CharField(max_length=12)
    at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    job_id = models.BigIntegerField(null=True)
    result = models.JSONField(default=dict)
    created_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["agreement", "sha256", "goal", "-id"], name="backtest_of_version")]


class BacktestCase(models.Model):
    """One lead of a backtest, scored as it was known at `at`; `good`: it came to the end that was asked for.

    `held` are the numbers of the criteria (among those switched on) that matched by what was known then,
    `later` of those that match only by what was recorded afterwards.
    """

    run = models.ForeignKey(BacktestRun, on_delete=models.CASCADE, related_name="cases", db_index=False)
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+")
    handoff_id = models.BigIntegerField(null=True)
    at = models.DateTimeField()
    good = models.BooleanField()
    source = models.CharField(max_length=80, blank=True)
    total = models.SmallIntegerField()
    grade = models.CharField(max_length=2)
    # A lead that the version calls none, or lets through to sales.
    excluded = models.BooleanField()
    sales = models.BooleanField()
    held = ArrayField(models.SmallIntegerField(), default=list)
    later = ArrayField(models.SmallIntegerField(), default=list)

    class Meta:
        indexes = [models.Index(fields=["run", "lead", "id"], name="backtestcase_run")]


class Workshop(models.Model):
    """People of both sides sort the same leads without seeing a score, and compare."""

    class State(models.TextChoices):
        OPEN = "open", "Sorting"
        CLOSED = "closed", "Compared"

    name = models.CharField(max_length=120)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    facilitator = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    # How the leads were drawn: {"asked": 40, "days": 30, "found": 212}.
    drawn = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)


class WorkshopCard(models.Model):
    """One lead of a workshop, shown as it was at `at`."""

    workshop = models.ForeignKey(Workshop, on_delete=models.CASCADE, related_name="cards")
    n = models.PositiveSmallIntegerField()
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    known_at = models.DateTimeField()
    source = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workshop", "n"], name="card_number_once"),
            models.UniqueConstraint(fields=["workshop", "lead"], name="card_lead_once"),
        ]


class WorkshopVote(models.Model):
    """What one person says of one card. Hidden from everybody who has not sorted all of them."""

    class Vote(models.TextChoices):
        GOOD = "good", "Good"
        BAD = "not_good", "Not good"
        UNSURE = "unsure", "Unsure"

    card = models.ForeignKey(WorkshopCard, on_delete=models.CASCADE, related_name="votes")
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=10, choices=Signature.Side)
    vote = models.CharField(max_length=10, choices=Vote)
    reason = models.TextField(blank=True)
    wanted_to_know = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["card", "user"], name="one_vote_a_card")]


class WorkshopMember(models.Model):
    """Somebody invited to sort; `finished_at` once every card has an answer and the person said so.

    `left_at`: looked at the comparison without finishing, so that these answers never count.
    """

    workshop = models.ForeignKey(Workshop, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=10, choices=Signature.Side)
    finished_at = models.DateTimeField(null=True)
    left_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workshop", "user"], name="one_seat_a_person")]


class AdvisorFinding(models.Model):
    """Something that the figures say about an agreement. A person decides; nothing changes by itself."""

    agreement = models.ForeignKey(Agreement, on_delete=models.CASCADE, related_name="findings")
    sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=20)
    # The criterion it is about; empty for something that the agreement does not have yet.
    criterion = models.CharField(max_length=40, blank=True)
    key = models.CharField(max_length=120)
    figures = models.JSONField(default=dict)
    # The change of the draft that one click makes; empty where there is only something to look at.
    proposal = models.JSONField(default=dict)
    at = models.DateTimeField()
    dismissed_at = models.DateTimeField(null=True)
    dismissed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agreement", "sha256", "key"], name="finding_once")]


class SignLink(models.Model):
    """A link from a mail by which one person signs one version. Works once, for him alone."""

    token_hash = models.CharField(max_length=64, unique=True)
    agreement = models.ForeignKey(Agreement, on_delete=models.CASCADE, related_name="sign_links")
    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+")
    side = models.CharField(max_length=10, choices=Signature.Side)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class Telling(models.Model):
    """Something about an agreement that one person is to hear. Handoff takes it to the bell and the mail."""

    class Kind(models.TextChoices):
        ASKED = "asked"
        SIGNED = "signed"
        DECLINED = "declined"
        WITHDRAWN = "withdrawn"
        IN_FORCE = "in_force"

    agreement = models.ForeignKey(Agreement, on_delete=models.CASCADE, related_name="tellings")
    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    comment = models.TextField(blank=True)
    link = models.ForeignKey(SignLink, null=True, on_delete=models.SET_NULL, related_name="+")
    mail = models.BooleanField(default=False)
    at = models.DateTimeField()
    taken_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["id"], name="telling_waiting", condition=Q(taken_at__isnull=True))]


class DraftStep(models.Model):
    """One save of a draft as it was before, so that it can be undone step by step."""

    agreement = models.ForeignKey(Agreement, on_delete=models.CASCADE, related_name="steps")
    lock_version = models.PositiveIntegerField()
    what = models.CharField(max_length=200)
    content = models.JSONField()
    by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["agreement", "lock_version"],
                name="draft_step_once",
                condition=Q(undone_at__isnull=True),
            )
        ]


class DraftPresence(models.Model):
    """Somebody who has the editor of a draft open, and which part of it; old rows say nothing."""

    agreement = models.ForeignKey(Agreement, on_delete=models.CASCADE, related_name="present")
    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+")
    slot = models.CharField(max_length=120, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agreement", "user"], name="draft_presence_once")]
