"""The handoff of a lead to sales, its clocks, calendars, routing, and what leaves the house by mail."""

from django.conf import settings
from django.db import models
from django.db.models import Case, Q, When
from django.db.models.functions import Least

from leadflow import clock
from leadflow.accounts.models import Team
from leadflow.leads.models import Lead

USER = settings.AUTH_USER_MODEL


class State(models.TextChoices):
    OFFERED = "offered", "Offered"
    ACCEPTED = "accepted", "Accepted"
    WORKING = "working", "Working"
    OPPORTUNITY = "opportunity", "Opportunity"
    REJECTED = "rejected", "Rejected"
    RETURNED = "returned", "Returned"
    WON = "won", "Won"
    LOST = "lost", "Lost"
    WITHDRAWN = "withdrawn", "Withdrawn"


OPEN = (State.OFFERED, State.ACCEPTED, State.WORKING, State.OPPORTUNITY)
CLOSED = (State.REJECTED, State.RETURNED, State.WON, State.LOST, State.WITHDRAWN)
_OPEN = Q(state__in=[s.value for s in OPEN])


class Promise(models.TextChoices):
    """What sales promised and a clock measures."""

    ACCEPTANCE = "acceptance", "Acceptance"
    FIRST_TOUCH = "first_touch", "First touch"
    FOLLOW_UP = "follow_up", "Follow-up"


class Handoff(models.Model):
    """One episode of a lead with sales; at most one open per lead. Only `handoff.machine` writes it.

    `sla_due_at` is the promise shown (`sla_promise` names it); `sla_ticks` lists the coming instants in
    order as [{"at", "do", "promise", "scope", "from"}, …] (see `handoff.promises`), `sla_tick_at` the next.
    """

    class Kind(models.TextChoices):
        BAR = "bar", "Reached the bar"
        FAST_TRACK = "fast_track", "Fast track"
        BY_HAND = "by_hand", "Handed over by hand"
        OWN = "own", "Own lead of sales"
        CALLBACK = "callback", "Call back as agreed"
        REPAIRED = "repaired", "Data repaired"
        OVERTURNED = "overturned", "Rejection overturned"
        EXISTING_CUSTOMER = "existing_customer", "Existing customer"

    lead = models.ForeignKey(Lead, on_delete=models.PROTECT, related_name="handoffs")
    kind = models.CharField(max_length=20, choices=Kind)
    fast_track_no = models.PositiveSmallIntegerField(null=True)
    state = models.CharField(max_length=12, choices=State, default=State.OFFERED)
    owner = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="handoffs")
    team = models.ForeignKey(Team, null=True, on_delete=models.PROTECT, related_name="handoffs")
    # Offered to the team as a whole: anybody of it may claim.
    pool = models.BooleanField(default=False)
    offered_at = models.DateTimeField()
    # The lead's own clock never restarts; `offered_at` is the present holder's.
    first_offered_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    first_touch_at = models.DateTimeField(null=True)
    reached_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    # The present holder's dues, and the lead's own: a reassignment moves the former, never the latter.
    acceptance_due_at = models.DateTimeField(null=True)
    first_touch_due_at = models.DateTimeField(null=True)
    followup_due_at = models.DateTimeField(null=True)
    lead_acceptance_due_at = models.DateTimeField(null=True)
    lead_first_touch_due_at = models.DateTimeField(null=True)
    lead_followup_due_at = models.DateTimeField(null=True)
    # The contact from which the follow-up runs.
    last_contact_at = models.DateTimeField(null=True)
    sla_promise = models.CharField(max_length=12, choices=Promise, blank=True)
    sla_due_at = models.DateTimeField(null=True)
    sla_ticks = models.JSONField(default=list)
    sla_tick_at = models.DateTimeField(null=True)
    warned_at = models.DateTimeField(null=True)
    breached_at = models.DateTimeField(null=True)
    tick_failures = models.PositiveSmallIntegerField(default=0)
    tick_error = models.TextField(blank=True)
    snoozed_until = models.DateTimeField(null=True)
    snooze_count = models.PositiveSmallIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_date = models.DateTimeField(null=True)
    # As it was at the offer: {"facts", "score", "explanation": [lines], "must_know_gaps", "why_now", "sla"
    # (the policy), "give_up", "snooze", "undo_minutes", "reasons"}
    frozen = models.JSONField(default=dict)
    # The one line in the queue, and the score at the offer for ordering.
    why_now = models.CharField(max_length=300, blank=True)
    total = models.SmallIntegerField(null=True)
    grade = models.CharField(max_length=2, blank=True)
    agreement_id = models.BigIntegerField(null=True)
    policy = models.CharField(max_length=40, blank=True)
    route = models.TextField(blank=True)
    reason_key = models.CharField(max_length=20, blank=True)
    note = models.TextField(blank=True)
    amount = models.DecimalField(max_digits=14, decimal_places=2, null=True)
    need = models.TextField(blank=True)
    cooling = models.BooleanField(default=False)
    linked_to = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    opened_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    crossing_id = models.BigIntegerField(null=True)
    lock_version = models.PositiveIntegerField(default=1)
    # Of the last change; queues poll by it.
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            # With the state in it: where each lead is can be told without reading a handoff.
            models.UniqueConstraint(
                fields=["lead"], include=["state"], name="one_open_handoff", condition=_OPEN
            ),
            models.CheckConstraint(condition=_OPEN | Q(sla_tick_at__isnull=True), name="no_tick_when_closed"),
        ]
        indexes = [
            models.Index(
                fields=["sla_tick_at", "id"], name="handoff_tick", condition=Q(sla_tick_at__isnull=False)
            ),
            models.Index(fields=["owner", "sla_due_at"], name="handoff_owner", condition=_OPEN),
            models.Index(fields=["team", "pool", "sla_due_at"], name="handoff_team", condition=_OPEN),
            models.Index(fields=["first_offered_at"], name="handoff_offered"),
            models.Index(fields=["changed_at"], name="handoff_changed"),
            # Every page's frame counts what waits for an answer: few of those that are open.
            models.Index(
                fields=["owner", "team"],
                name="handoff_asked",
                condition=Q(state="offered", snoozed_until__isnull=True),
            ),
            # Of the open ones, which are many, those with a promise past due: `handoff.clocks.RESULTS` asks
            # in these very words. Not a partial one: of such the planner does not know how few are past.
            models.Index(
                Case(
                    When(
                        state="offered",
                        then=Least(
                            "acceptance_due_at",
                            "lead_acceptance_due_at",
                            "first_touch_due_at",
                            "lead_first_touch_due_at",
                        ),
                    ),
                    When(state="accepted", then=Least("first_touch_due_at", "lead_first_touch_due_at")),
                    When(state="working", then=Least("followup_due_at", "lead_followup_due_at")),
                ),
                name="handoff_running",
            ),
            # Few ever slept: the board looks at each of them.
            models.Index(fields=["team"], name="handoff_slept", condition=_OPEN & Q(snooze_count__gt=0)),
        ]


class Transition(models.Model):
    """One act on a handoff. Append only. `actor` null: LeadFlow itself."""

    handoff = models.ForeignKey(Handoff, on_delete=models.PROTECT, related_name="transitions", db_index=False)
    action = models.CharField(max_length=20)
    from_state = models.CharField(max_length=12, blank=True)
    to_state = models.CharField(max_length=12)
    actor = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    api_key_id = models.BigIntegerField(null=True)
    at = models.DateTimeField()
    reason_key = models.CharField(max_length=20, blank=True)
    note = models.TextField(blank=True)
    owner_before = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    owner_after = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # What an undo needs to put back: the row's columns before the act, ids of the rows the act wrote.
    before = models.JSONField(default=dict)
    undoes = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="undone_by")

    class Meta:
        indexes = [
            models.Index(fields=["handoff", "at", "id"], name="transition_handoff"),
            models.Index(fields=["action", "at"], name="transition_action"),
            models.Index(fields=["actor", "at"], name="transition_actor", condition=Q(actor__isnull=False)),
        ]


class SlaResult(models.Model):
    """How a promise ended, dated by its due instant. `scope` lead: from the first offer, never restarted;
    holder: of the one who held it. `late_by` in seconds of working time. A promise that fell due and is
    still not kept is missed already, with `finished_at` null until it is kept or ended."""

    class Scope(models.TextChoices):
        LEAD = "lead"
        HOLDER = "holder"

    class Result(models.TextChoices):
        MET = "met", "Met"
        MISSED = "missed", "Missed"
        CANCELLED = "cancelled", "Cancelled"

    # Written by the thousand when promises fall due at once, from rows that are locked: checked already.
    handoff = models.ForeignKey(
        Handoff, on_delete=models.PROTECT, related_name="sla_results", db_constraint=False
    )
    promise = models.CharField(max_length=12, choices=Promise)
    n = models.PositiveSmallIntegerField(default=1)
    scope = models.CharField(max_length=8, choices=Scope)
    holder = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    team = models.ForeignKey(
        Team, null=True, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    start = models.DateTimeField()
    due = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    result = models.CharField(max_length=10, choices=Result)
    late_by = models.IntegerField(default=0)
    corrected_from = models.CharField(max_length=10, blank=True)
    at = models.DateTimeField()
    voided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["handoff", "promise", "scope"],
                name="one_result_running",
                condition=Q(finished_at__isnull=True, voided_at__isnull=True),
            )
        ]
        indexes = [models.Index(fields=["due", "team", "holder"], name="slaresult_due")]


class LateException(models.Model):
    """A late handoff on the managers' list, until somebody has dealt with it."""

    handoff = models.ForeignKey(
        Handoff, on_delete=models.PROTECT, related_name="exceptions", db_constraint=False
    )
    promise = models.CharField(max_length=12, choices=Promise)
    since = models.DateTimeField()
    step_done = models.CharField(max_length=20, blank=True)
    cleared_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["handoff", "promise"], name="one_exception_open", condition=Q(cleared_at__isnull=True)
            )
        ]


class Calendar(models.Model):
    """Working hours. `week`: {"0": [["09:00", "12:30"], …], …}, 0 = Monday, local to `tz`."""

    name = models.CharField(max_length=80, unique=True)
    tz = models.CharField(max_length=50)
    week = models.JSONField()
    country = models.CharField(max_length=2, blank=True)
    region = models.CharField(max_length=10, blank=True)

    def __str__(self) -> str:
        return self.name


class CalendarDay(models.Model):
    """A day of its own: half day, own opening day, or closed (`spans` empty)."""

    calendar = models.ForeignKey(Calendar, on_delete=models.CASCADE, related_name="days")
    date = models.DateField()
    spans = models.JSONField(default=list)
    label = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["calendar", "date"], name="calendar_day_once")]


class TeamCalendar(models.Model):
    """Which calendar a team works by."""

    team = models.OneToOneField(
        Team, primary_key=True, on_delete=models.CASCADE, related_name="team_calendar"
    )
    calendar = models.ForeignKey(Calendar, on_delete=models.PROTECT, related_name="teams")


class Absence(models.Model):
    """A person is away from `starts_at` until `ends_at`."""

    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="absences")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        indexes = [models.Index(fields=["user", "ends_at"], name="absence_user")]


class Pause(models.Model):
    """An interval in which a handoff's clock stood still."""

    handoff = models.ForeignKey(Handoff, on_delete=models.CASCADE, related_name="pauses")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    kind = models.CharField(max_length=20, default="snooze")


class RouteRule(models.Model):
    """One sentence of the routing: if `condition` holds, then `target`.

    target: {"to": "company_owner"} · {"to": "team", "team": id} · {"to": "user", "user": id} ·
    {"to": "pool", "team": id}; with "strategy": "round_robin" | "fewest_open" for a team.
    """

    position = models.PositiveSmallIntegerField()
    text = models.CharField(max_length=200)
    condition = models.JSONField(null=True)
    target = models.JSONField()
    active = models.BooleanField(default=True)
    changed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["position", "id"]


class RoundRobin(models.Model):
    """The running weight of a person in a team's smooth weighted round robin."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+")
    current = models.IntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="round_robin_once")]


class RoomWait(models.Model):
    """A ready lead that waits for room in sales. No clock runs; marketing owns it."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="room_waits")
    crossing_id = models.BigIntegerField()
    kind = models.CharField(max_length=20)
    team = models.ForeignKey(Team, null=True, on_delete=models.PROTECT, related_name="+")
    total = models.SmallIntegerField()
    entered_at = models.DateTimeField()
    next_check = models.DateTimeField()
    left_at = models.DateTimeField(null=True)
    # offered · not_ready · excluded · by_hand · fast_track
    left_why = models.CharField(max_length=20, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lead"], name="one_room_wait", condition=Q(left_at__isnull=True))
        ]
        indexes = [
            models.Index(
                fields=["-total", "entered_at"], name="roomwait_order", condition=Q(left_at__isnull=True)
            )
        ]


class DailyOffer(models.Model):
    """How many new handoffs a person got on a day (kinds bar and existing customer)."""

    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+")
    date = models.DateField()
    count = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "date"], name="daily_offer_once")]


class Outbox(models.Model):
    """Something that must leave the house, at least once. `key` is unique: no act sends twice."""

    class Channel(models.TextChoices):
        BELL = "bell"
        EMAIL = "email"
        WEBHOOK = "webhook"
        CHAT = "chat"

    key = models.CharField(max_length=200)
    kind = models.CharField(max_length=40)
    channel = models.CharField(max_length=10, choices=Channel)
    recipient = models.CharField(max_length=254, blank=True)
    # Neither checked nor indexed: nobody is ever deleted, and a letter is written for every clock that rings.
    user = models.ForeignKey(
        USER, null=True, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    not_before = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    endpoint = models.ForeignKey(
        "WebhookEndpoint", null=True, on_delete=models.CASCADE, related_name="messages", db_index=False
    )

    class Meta:
        constraints = [
            # One index for "is it there" and for "all whose key begins with".
            models.UniqueConstraint(fields=["key"], name="outbox_once", opclasses=["varchar_pattern_ops"])
        ]
        indexes = [
            models.Index(
                fields=["next_try_at", "id"], name="outbox_due", condition=Q(next_try_at__isnull=False)
            ),
            # What was tried and has not arrived: the list for the admin.
            models.Index(
                fields=["-id"],
                name="outbox_stuck",
                condition=Q(attempts__gt=0, delivered_at__isnull=True, cancelled_at__isnull=True),
            ),
            models.Index(
                fields=["endpoint", "next_try_at", "id"],
                name="outbox_endpoint",
                condition=Q(endpoint__isnull=False),
            ),
        ]


class WebhookEndpoint(models.Model):
    """Where others hear from us: a signed webhook, or a channel of a chat with an incoming webhook."""

    class Shape(models.TextChoices):
        SIGNED = "signed", "Signed webhook"
        SLACK = "slack", "Slack channel"
        TEAMS = "teams", "Teams channel"

    name = models.CharField(max_length=80)
    shape = models.CharField(max_length=10, choices=Shape, default=Shape.SIGNED)
    url = models.URLField(max_length=500)
    secret = models.CharField(max_length=80, blank=True)
    # Names of events; a name that ends with `.*` takes all of its family.
    events = models.JSONField(default=list)
    # Only handoffs of this team; null: of all.
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="endpoints")
    active = models.BooleanField(default=True)
    # How far each ledger has been read for it: {"score": {"upto": id, "mark": [id, transaction]}, …}.
    cursors = models.JSONField(default=dict)
    created_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()


class DeliveryLog(models.Model):
    """One attempt to deliver a message of the outbox to an endpoint, with what came back."""

    message = models.ForeignKey(Outbox, on_delete=models.CASCADE, related_name="tries")
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="tries")
    at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True)
    took_ms = models.PositiveIntegerField(default=0)
    answer = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [models.Index(fields=["endpoint", "-at"], name="delivery_endpoint")]


class Notice(models.Model):
    """What the bell shows a person."""

    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=40)
    text = models.CharField(max_length=300)
    url = models.CharField(max_length=300, blank=True)
    lead_id = models.BigIntegerField(null=True)
    handoff_id = models.BigIntegerField(null=True)
    at = models.DateTimeField()
    read_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["user", "-at"], name="notice_user"),
            # Every page's frame counts what is unread: few of all that was ever told.
            models.Index(fields=["user"], name="notice_unread", condition=Q(read_at__isnull=True)),
        ]


class SavedView(models.Model):
    """A filter that a person keeps as a tab."""

    QUEUE = "queue"

    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="saved_views")
    page = models.CharField(max_length=40)
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=500)
