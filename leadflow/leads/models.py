"""The ground floor: who the leads are, what they did, and everything that was ever said about them."""

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from leadflow import clock

USER = settings.AUTH_USER_MODEL


class Stage(models.TextChoices):
    """Where a lead stands between marketing and sales. Only `leads.stages` writes it."""

    CONVERSION = "conversion", "Conversion"
    PROSPECT = "prospect", "Prospect"
    MQL = "mql", "MQL"
    SALES_QUALIFIED = "sql", "SQL"
    OPPORTUNITY = "opportunity", "Opportunity"
    CUSTOMER = "customer", "Customer"
    NURTURING = "nurturing", "Nurturing"
    DISQUALIFIED = "disqualified", "Disqualified"
    EXCLUDED = "excluded", "Left out: not a lead"


class Level(models.TextChoices):
    """How far a prospect is; recomputed with each score."""

    NONE = "", ""
    RESEARCHER = "researcher", "Researcher"
    INFLUENCER = "influencer", "Influencer"
    INVESTIGATOR = "investigator", "Investigator"


class Company(models.Model):
    """The organisation of leads. `…_key` are folded for comparing, `…_words` for whole-word matches."""

    name = models.CharField(max_length=200)
    name_key = models.CharField(db_index=True)
    name_words = models.CharField(default="")
    domain = models.CharField(max_length=253, null=True, unique=True)
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="children")
    industry = models.CharField(max_length=120, blank=True)
    industry_key = models.CharField(blank=True)
    industry_words = models.CharField(blank=True)
    employees = models.PositiveIntegerField(null=True)
    revenue = models.DecimalField(max_digits=16, decimal_places=2, null=True)
    country = models.CharField(max_length=80, blank=True)
    country_key = models.CharField(blank=True)
    city = models.CharField(max_length=120, blank=True)
    owner = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="owned_companies")
    is_target = models.BooleanField("target account", default=False)
    is_competitor = models.BooleanField("competitor", default=False)
    is_partner = models.BooleanField("partner", default=False)
    is_own = models.BooleanField("ourselves", default=False)
    customer_since = models.DateTimeField(null=True)
    custom = models.JSONField(default=dict)
    custom_keys = models.JSONField(default=dict)
    custom_words = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            GinIndex(OpClass("name_key", name="gin_trgm_ops"), name="company_name_trgm"),
        ]

    def __str__(self) -> str:
        return self.name


class Campaign(models.Model):
    """Something marketing runs. `rule` names how leads are counted to it; money is in `currency`."""

    name = models.CharField(max_length=120)
    code = models.CharField(max_length=80, unique=True)
    source = models.CharField(max_length=80, blank=True)
    cost = models.DecimalField(max_digits=14, decimal_places=2, null=True)
    currency = models.CharField(max_length=3, default="EUR")
    starts_on = models.DateField(null=True)
    ends_on = models.DateField(null=True)
    message_for_sales = models.TextField(blank=True)
    rule = models.JSONField(null=True)
    created_at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return self.name


class Content(models.Model):
    """A piece that leads read or that sales sends."""

    key = models.CharField(max_length=80, unique=True)
    title = models.CharField(max_length=200)
    url = models.CharField(max_length=500, blank=True)
    stage = models.CharField(max_length=20, blank=True)
    persona_key = models.CharField(max_length=40, blank=True)
    question = models.TextField(blank=True)
    active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.title


class Lead(models.Model):
    """A person we can name, by e-mail or by another system's id (`LeadKey`)."""

    name = models.CharField(max_length=200, blank=True)
    name_key = models.CharField(blank=True)
    email = models.CharField(max_length=254, blank=True)
    email_key = models.CharField(null=True)
    email_domain = models.CharField(max_length=253, blank=True)
    phone = models.CharField(max_length=40, blank=True)
    phone_key = models.CharField(blank=True)
    title = models.CharField("job title", max_length=200, blank=True)
    title_key = models.CharField(blank=True)
    title_words = models.CharField(blank=True)
    country = models.CharField(max_length=80, blank=True)
    country_key = models.CharField(blank=True)
    city = models.CharField(max_length=120, blank=True)
    city_key = models.CharField(blank=True)
    time_zone_country = models.CharField(max_length=2, blank=True)
    company = models.ForeignKey(Company, null=True, on_delete=models.PROTECT, related_name="leads")
    owner = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="owned_leads")
    first_source = models.CharField(max_length=80, blank=True)
    first_source_key = models.CharField(blank=True)
    first_campaign = models.ForeignKey(Campaign, null=True, on_delete=models.PROTECT, related_name="+")
    custom = models.JSONField(default=dict)
    custom_keys = models.JSONField(default=dict)
    custom_words = models.JSONField(default=dict)
    stage = models.CharField(max_length=12, choices=Stage, default=Stage.CONVERSION)
    level = models.CharField(max_length=12, choices=Level, default=Level.NONE, blank=True)
    stage_since = models.DateTimeField()
    sales_sourced = models.BooleanField(default=False)
    # The date at which somebody looks again at a lead that nothing else will move.
    review_at = models.DateTimeField(null=True)
    crm_url = models.CharField(max_length=500, blank=True)
    external_owner = models.CharField(max_length=120, blank=True)
    last_own_act_at = models.DateTimeField(null=True)
    bounced_at = models.DateTimeField(null=True)
    unsubscribed_at = models.DateTimeField(null=True)
    do_not_contact = models.BooleanField(default=False)
    # Few are merged: an index over them alone, so that nobody looks up all the others by it.
    merged_into = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    erased_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["stage", "stage_since"], name="lead_stage"),
            models.Index(fields=["changed_at", "id"], name="lead_changed"),
            models.Index(fields=["created_at", "id"], name="lead_created"),
            # The orders and the filter of the list that change with neither act nor score.
            models.Index(fields=["name_key", "id"], name="lead_name"),
            models.Index(fields=["stage_since", "id"], name="lead_since"),
            models.Index(fields=["first_source", "stage"], name="lead_source"),
            models.Index(fields=["email_domain"], name="lead_domain"),
            models.Index(fields=["merged_into"], name="lead_merged", condition=Q(merged_into__isnull=False)),
            # The few that no report counts.
            models.Index(
                fields=["id"],
                name="lead_gone",
                condition=Q(merged_into__isnull=False) | Q(erased_at__isnull=False),
            ),
            GinIndex(OpClass("name_key", name="gin_trgm_ops"), name="lead_name_trgm"),
            GinIndex(
                OpClass(Coalesce("email_key", models.Value("")), name="gin_trgm_ops"), name="lead_email_trgm"
            ),
            # None over what each act writes (last_own_act_at, review_at, level): with free space in its page
            # such a row is then renewed in place, and no index hears of it.
        ]
        constraints = [models.UniqueConstraint(fields=["email_key"], name="lead_email_once")]

    def __str__(self) -> str:
        return self.name or self.email or f"Lead {self.pk}"


class LeadKey(models.Model):
    """The name of a lead in another system."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="keys")
    source = models.CharField(max_length=80)
    external_id = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "external_id"], name="lead_key_once")]


class DuplicatePair(models.Model):
    """Two leads that one row named together: the row was refused, somebody should look."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+")
    other = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+")
    why = models.TextField()
    at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lead", "other"], name="duplicate_pair_once")]


class Visitor(models.Model):
    """An anonymous browser, until it is joined to a lead."""

    key = models.CharField(max_length=80, unique=True)
    lead = models.ForeignKey(Lead, null=True, on_delete=models.SET_NULL, related_name="visitors")
    first_source = models.CharField(max_length=80, blank=True)
    first_campaign = models.ForeignKey(Campaign, null=True, on_delete=models.SET_NULL, related_name="+")
    referrer = models.CharField(max_length=500, blank=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()


class VisitorJoin(models.Model):
    """When a browser was found to be a lead's. Append only."""

    visitor = models.ForeignKey(Visitor, on_delete=models.CASCADE, related_name="joins")
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    confirmed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")


class LeadMerge(models.Model):
    """One lead became part of another at an instant; from `undone_at` on they are two again. Append only.

    What `from_lead` did before goes to `into` (Activity.lead and moved_at; first_lead stays), so that the
    owner of an act at any instant can still be told: see `scoring.rows`.
    """

    from_lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="merges")
    into = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    actor = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(blank=True)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["from_lead"], name="one_merge_at_a_time", condition=Q(undone_at__isnull=True)
            )
        ]


class ActivityKind(models.Model):
    """The catalogue of what can be done. Flags say what an activity of the kind means."""

    id = models.SmallAutoField(primary_key=True)
    key = models.SlugField(max_length=40, unique=True)
    label = models.CharField(max_length=80)
    # Says it in a timeline: "viewed a page".
    phrase = models.CharField(max_length=120)
    own_act = models.BooleanField(default=False, help_text="the lead did it")
    contact = models.BooleanField(default=False, help_text="outbound, by our people")
    reply = models.BooleanField(default=False)
    stop = models.BooleanField(default=False, help_text="a wish not to be written to")
    properties = models.JSONField(default=dict, help_text="name of a property: its type")
    active = models.BooleanField(default=True)
    shipped = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.label


# A property of a contact that was noted by mistake: the instant of its being taken back.
TAKEN_BACK = "taken_back"


class Activity(models.Model):
    """A dated fact about what a lead did. Append only, except that a join or merge gives it a new lead, and
    that a contact which was taken back says so (TAKEN_BACK in its properties).

    `occurred_at` is when it happened, `recorded_at` when we came to know it. `moved_at` is when it came
    to its present lead. `first_lead` is whose it was when it was recorded (None: nobody's, until its visitor
    was joined); from there VisitorJoin and LeadMerge tell whose it was at any instant before `moved_at`.
    """

    source = models.CharField(max_length=80)
    external_id = models.CharField(max_length=200)
    kind = models.ForeignKey(ActivityKind, on_delete=models.PROTECT, related_name="+", db_index=False)
    lead = models.ForeignKey(
        Lead, null=True, on_delete=models.CASCADE, related_name="activities", db_index=False
    )
    first_lead = models.ForeignKey(
        Lead, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    moved_at = models.DateTimeField(null=True)
    visitor = models.ForeignKey(
        Visitor, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    path = models.CharField(max_length=300, blank=True)
    campaign = models.ForeignKey(
        Campaign, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    content = models.ForeignKey(
        Content, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # Which e-mail it is about: sent and clicked of one message carry the same key.
    message_key = models.CharField(max_length=120, blank=True)
    # Contacts by our people: who, how, with what result, on which handoff (a plain id: handoff is upstairs).
    user = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    channel = models.CharField(max_length=20, blank=True)
    result = models.CharField(max_length=20, blank=True)
    handoff_id = models.BigIntegerField(null=True)
    properties = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "external_id"], name="activity_once")]
        indexes = [
            # With all that most rules ask of an act: a scoring need not read the acts themselves, which
            # lie far apart.
            models.Index(
                fields=["lead", "kind", "-occurred_at", "id"],
                include=["recorded_at", "path", "message_key"],
                name="activity_lead_kind",
            ),
            models.Index("lead", models.F("occurred_at").desc(), "id", name="activity_lead_time"),
            models.Index(fields=["visitor"], name="activity_visitor", condition=Q(visitor__isnull=False)),
            models.Index(
                fields=["first_lead"], name="activity_first_lead", condition=Q(moved_at__isnull=False)
            ),
            models.Index(fields=["moved_at"], name="activity_moved", condition=Q(moved_at__isnull=False)),
            models.Index(
                fields=["campaign", "occurred_at"],
                name="activity_campaign",
                condition=Q(campaign__isnull=False),
            ),
            models.Index(
                fields=["content", "occurred_at"],
                name="activity_content",
                condition=Q(content__isnull=False),
            ),
        ]


class FactChange(models.Model):
    """What a fact was before it changed, never what it became. Append only.

    The value at an instant k is the old value of the first change recorded after k, else the present one.
    `old_key` is the folded old text, `old_words` its words; both null for other types.
    """

    lead = models.ForeignKey(Lead, null=True, on_delete=models.CASCADE, related_name="+", db_index=False)
    company = models.ForeignKey(
        Company, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    field = models.CharField(max_length=60)
    old = models.JSONField(null=True)
    old_key = models.TextField(null=True)
    old_words = models.TextField(null=True)
    recorded_at = models.DateTimeField()
    cause = models.CharField(max_length=120, blank=True)
    actor = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(lead__isnull=False, company__isnull=True)
                | Q(lead__isnull=True, company__isnull=False),
                name="fact_of_lead_or_company",
            )
        ]
        indexes = [
            models.Index(
                fields=["lead", "field", "recorded_at", "id"],
                name="fact_lead",
                condition=Q(lead__isnull=False),
            ),
            models.Index(
                fields=["company", "field", "recorded_at", "id"],
                name="fact_company",
                condition=Q(company__isnull=False),
            ),
        ]


class CustomField(models.Model):
    """A company's own fact, typed. A field that an agreement uses cannot change its type."""

    class Type(models.TextChoices):
        TEXT = "text", "Text"
        NUMBER = "number", "Number"
        DATE = "date", "Date"
        BOOLEAN = "boolean", "Yes or no"

    class Subject(models.TextChoices):
        LEAD = "lead", "Lead"
        COMPANY = "company", "Company"

    key = models.SlugField(max_length=50, unique=True)
    subject = models.CharField(max_length=8, choices=Subject)
    type = models.CharField(max_length=8, choices=Type)
    label = models.CharField(max_length=80)
    options = models.JSONField(default=list)
    # Marked in an import mapping: this value is written after sales was in touch, so it cannot score.
    after_contact = models.BooleanField(default=False)
    locked_by_version = models.PositiveIntegerField(null=True)
    # Retired: nobody fills it in any more and no new rule may name it; what it held stays readable.
    retired_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.label


class WordList(models.Model):
    """A saved list of words or values; entries are folded."""

    key = models.SlugField(max_length=50, unique=True)
    label = models.CharField(max_length=80)
    entries = models.JSONField(default=list)


class LeadChanged(models.Model):
    """A lead whose score is out of date. Append only, deleted when scored; never unique by lead."""

    lead_id = models.BigIntegerField()
    cause = models.CharField(max_length=80)
    quiet = models.BooleanField(default=False)
    recorded_at = models.DateTimeField()


class ContactSeen(models.Model):
    """A contact by our people that handoff has not looked at yet."""

    lead_id = models.BigIntegerField()
    activity_id = models.BigIntegerField()
    recorded_at = models.DateTimeField()


class TrackSignal(models.Model):
    """What feedback has not looked at yet: a reply, a stop, or an outcome from outside.

    `activity_id` is the outcome's id where the kind is outcome.
    """

    lead_id = models.BigIntegerField()
    activity_id = models.BigIntegerField()
    kind = models.CharField(
        max_length=10, choices=[("reply", "reply"), ("stop", "stop"), ("outcome", "outcome")]
    )
    recorded_at = models.DateTimeField()


class CustomerSignal(models.Model):
    """A won or churned outcome that came, changed or was taken back: its company has not heard of it yet.

    `lead_id` is whose outcome it was then. Read and deleted by `leads.customers`.
    """

    lead_id = models.BigIntegerField()
    outcome_id = models.BigIntegerField()
    recorded_at = models.DateTimeField()


class StageChange(models.Model):
    """A move of a lead between stages. Append only. `from_stage` is empty for a creation."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="stage_changes", db_index=False)
    from_stage = models.CharField(max_length=12, blank=True)
    to_stage = models.CharField(max_length=12, choices=Stage)
    at = models.DateTimeField()
    known_at = models.DateTimeField()
    cause = models.CharField(max_length=80)
    actor = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    handoff_id = models.BigIntegerField(null=True)
    agreement_id = models.BigIntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["lead", "at", "id"], name="stagechange_lead"),
            models.Index(fields=["to_stage", "at"], name="stagechange_to"),
        ]


class Answer(models.Model):
    """What sales did with a handoff, as a fact about the lead. Append only; an undo sets `voided_at`."""

    class Kind(models.TextChoices):
        OFFERED = "offered"
        ACCEPTED = "accepted"
        REJECTED = "rejected"
        RETURNED = "returned"

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="answers", db_index=False)
    handoff_id = models.BigIntegerField()
    kind = models.CharField(max_length=10, choices=Kind)
    reason_key = models.CharField(max_length=20, blank=True)
    reason_kind = models.CharField(max_length=20, blank=True)
    note = models.TextField(blank=True)
    at = models.DateTimeField()
    known_at = models.DateTimeField()
    rep = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    agreement_id = models.BigIntegerField(null=True)
    voided_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["lead", "at"], name="answer_lead"),
            models.Index(fields=["kind", "at"], name="answer_kind"),
            models.Index(fields=["handoff_id"], name="answer_handoff"),
        ]


class Outcome(models.Model):
    """What became of a lead. It belongs to the lead; `amount` is in the organisation's currency, ≥ 0."""

    class Kind(models.TextChoices):
        OPPORTUNITY = "opportunity", "Opportunity"
        WON = "won", "Won"
        LOST = "lost", "Lost"
        RENEWED = "renewed", "Renewed"
        EXPANDED = "expanded", "Expanded"
        CHURNED = "churned", "Churned"

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="outcomes")
    source = models.CharField(max_length=80)
    external_id = models.CharField(max_length=200)
    kind = models.CharField(max_length=12, choices=Kind)
    amount = models.DecimalField(max_digits=14, decimal_places=2, null=True)
    at = models.DateTimeField()
    # True: the date is that of the recording; left out of velocity and backtests.
    undated = models.BooleanField(default=False)
    reason = models.TextField(blank=True)
    handoff_id = models.BigIntegerField(null=True)
    recorded_at = models.DateTimeField()
    replaced_by = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    voided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id", "kind"], name="outcome_once"),
            models.CheckConstraint(
                condition=Q(amount__isnull=True) | Q(amount__gte=0), name="outcome_amount"
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "at"], name="outcome_kind"),
            # Reports read again what was written since they last looked.
            models.Index(fields=["recorded_at"], name="outcome_recorded"),
            models.Index(fields=["voided_at"], name="outcome_voided", condition=Q(voided_at__isnull=False)),
        ]


class UnmatchedOutcome(models.Model):
    """An outcome that names no lead we know, kept for a person to look at."""

    source = models.CharField(max_length=80)
    raw = models.JSONField()
    reason = models.TextField()
    at = models.DateTimeField()


class Consent(models.Model):
    """A yes or no of the lead to a channel. Append only."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="consents")
    channel = models.CharField(max_length=20)
    basis = models.CharField(max_length=40)
    given = models.BooleanField()
    at = models.DateTimeField()
    source = models.CharField(max_length=80, blank=True)


class ImportMapping(models.Model):
    """A saved mapping of a file's columns onto facts."""

    name = models.CharField(max_length=120, unique=True)
    mapping = models.JSONField()
    created_at = models.DateTimeField(default=clock.now)


class ImportRun(models.Model):
    """One file taken in: what it was, how it was read, what came of it."""

    job = models.OneToOneField("jobs.Job", null=True, on_delete=models.SET_NULL, related_name="import_run")
    kind = models.CharField(
        max_length=12, choices=[("leads", "Leads"), ("activities", "Activities"), ("outcomes", "Outcomes")]
    )
    file_name = models.CharField(max_length=200)
    file_path = models.CharField(max_length=500, blank=True)
    file_hash = models.CharField(max_length=64, blank=True)
    mapping = models.JSONField(default=dict)
    source = models.CharField(max_length=80)
    date_order = models.CharField(max_length=3, default="DMY")
    decimal = models.CharField(max_length=1, default=".")
    counts = models.JSONField(default=dict)
    fresh = models.BooleanField(default=False)
    created_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=clock.now)
    undone_at = models.DateTimeField(null=True)
