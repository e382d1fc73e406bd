"""Reading leads: what the API lists, one lead in full, and its timeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import CharField, DateTimeField, F, FilteredRelation, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Greatest

from leadflow import clock
from leadflow.leads.facts import FACTS, known_facts
from leadflow.leads.models import (
    Activity,
    Answer,
    DuplicatePair,
    FactChange,
    Lead,
    LeadKey,
    Outcome,
    StageChange,
)

# The states in which a lead is with sales. `score` and `handoffs` are relations that rooms upstairs add
# to Lead; they are named here, not imported.
WITH_SALES = ("offered", "accepted", "working", "opportunity")


def leads() -> QuerySet[Any, Any]:
    """Leads as the API lists them: score, grade, stage, owner, sales' last answer. One query."""
    answers = Answer.objects.filter(lead=OuterRef("pk"), voided_at=None).order_by("-at", "-id")
    return (
        Lead.objects.filter(merged_into=None, erased_at=None)
        .annotate(
            open_handoff=FilteredRelation("handoffs", condition=Q(handoffs__state__in=WITH_SALES)),
            company_name=F("company__name"),
            company_domain=F("company__domain"),
            owner_name=Coalesce(F("open_handoff__owner__name"), F("owner__name")),
            owner_email=Coalesce(F("open_handoff__owner__email"), F("owner__email")),
            total=F("score__total"),
            fit=F("score__fit"),
            behaviour=F("score__behaviour"),
            worth=F("score__value"),
            grade=F("score__grade"),
            preview=F("score__preview"),
            scored_at=F("score__scored_at"),
            changed=Greatest("changed_at", "score__changed_at"),
            answer=Subquery(answers.values("kind")[:1], output_field=CharField()),
            answer_reason=Subquery(answers.values("reason_key")[:1], output_field=CharField()),
            answer_note=Subquery(answers.values("note")[:1], output_field=CharField()),
            answer_at=Subquery(answers.values("at")[:1], output_field=DateTimeField()),
        )
        .values(
            "id", "name", "email", "title", "stage", "level", "stage_since", "company_id", "company_name",
            "company_domain", "owner_name", "owner_email", "total", "fit", "behaviour", "worth", "grade",
            "preview", "scored_at", "answer", "answer_reason", "answer_note", "answer_at", "created_at",
            "changed",
        )
    )  # fmt: skip


# How many keys are walked at most for a page, in steps, as multiples of its length.
_STEPS = (2, 8, 32)
# When a lead changed last (of a cursor: as text), and its id.
Place = tuple[Any, int]


# Who writes, and who has begun so lately that it may write yet. Reports and backups that only read for long
# hold nobody up.
_WRITING = """
    SELECT extract(epoch FROM clock_timestamp() - min(xact_start)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    AND (backend_xid IS NOT NULL OR xact_start > clock_timestamp() - interval '10 s')
"""


def settled() -> datetime | None:
    """The instant before which every change that is stamped is there to be read; None: all of them are.

    A change is stamped while it is written and read once it is committed. A client that follows the changes
    would go past the stamp of a transaction that still runs, and never see it. So nothing is given that is
    younger than the oldest transaction that writes, less a moment for the way from stamp to transaction.
    """
    with connection.cursor() as cursor:
        # Within a transaction the first look would be shown again.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(_WRITING)
        age = cursor.fetchone()[0]
    lag = timedelta(seconds=settings.CHANGES_LAG)
    if age is None:
        return clock.now() - lag if lag else None
    return clock.now() - timedelta(seconds=float(age)) - lag


def by_change(
    found: QuerySet[Any, Any],
    limit: int,
    *,
    since: datetime | None = None,
    after: Place | None = None,
    until: datetime | None = None,
) -> tuple[list[dict[str, Any]], Place | None]:
    """A page of `leads()` in the order of their last change, and the mark after which there is more.

    Changes from `until` on are left for the next time (see `settled`). A lead's own row and its score each
    know when they changed, and have an index each. Both are walked side by side; a lead counts where it
    stands last. A page may be short although there is more.
    """
    keys: list[Place] = []
    mark = after
    for step in _STEPS:
        walks = [_walk(found, of_score, since, mark, until)[: step * limit] for of_score in (False, True)]
        passed = [list(walk) for walk in walks]
        ends = [walk[-1][:2] for walk in passed if len(walk) == step * limit]
        mark = min(ends) if ends else None
        keys += sorted(
            (at, pk)
            for of_score, walk in enumerate(passed)
            for at, pk, other in walk
            if (mark is None or (at, pk) <= mark)
            and (other is None or at > other or (at == other and not of_score))
        )
        if mark is None or len(keys) >= limit:
            break
    if len(keys) > limit:
        keys, mark = keys[:limit], keys[limit - 1]
    rows = {row["id"]: row for row in found.filter(pk__in=[pk for _, pk in keys])}
    return [rows[pk] for _, pk in keys if pk in rows], mark


def _walk(
    found: QuerySet[Any, Any],
    of_score: bool,
    since: datetime | None,
    after: Place | None,
    until: datetime | None,
) -> Any:
    """Keys (when, lead, when the other of the two changed) by one of the two dates."""
    moment, key, other = (
        ("score__changed_at", "score__lead", "changed_at")
        if of_score
        else (
            "changed_at",
            "id",
            "score__changed_at",
        )
    )
    pair = (
        "scoring_leadscore.changed_at, scoring_leadscore.lead_id"
        if of_score
        else "leads_lead.changed_at, leads_lead.id"
    )
    if of_score:
        found = found.filter(score__changed_at__isnull=False)
    if since is not None:
        found = found.filter(**{f"{moment}__gte": since})
    if until is not None:
        found = found.filter(**{f"{moment}__lt": until})
    if after is not None:
        # One row comparison, so that the index on both columns is walked.
        found = found.extra(where=[f"({pair}) > (%s, %s)"], params=list(after))  # noqa: S610
    return found.order_by(moment, key).values_list(moment, key, other)


def listed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `leads()` in the form in which the API gives it."""
    score = None
    if row["total"] is not None:
        score = {
            "total": row["total"],
            "grade": row["grade"],
            "groups": {"fit": row["fit"], "behaviour": row["behaviour"], "value": row["worth"]},
            "preview": row["preview"],
            "scored_at": row["scored_at"],
        }
    company = None
    if row["company_id"]:
        company = {"id": row["company_id"], "name": row["company_name"], "domain": row["company_domain"]}
    answer = None
    if row["answer"]:
        answer = {
            "kind": row["answer"],
            "reason": row["answer_reason"],
            "note": row["answer_note"],
            "at": row["answer_at"],
        }
    owner = {"name": row["owner_name"], "email": row["owner_email"]} if row["owner_name"] else None
    plain = ("id", "name", "email", "title", "stage", "level", "stage_since", "created_at")
    return {
        **{name: row[name] for name in plain},
        "changed_at": row["changed"],
        "company": company,
        "score": score,
        "owner": owner,
        "last_answer": answer,
    }


def whole(lead_id: int) -> dict[str, Any] | None:
    """One lead with all its facts, its ids in other systems and its outcomes; None when there is none."""
    row = leads().filter(pk=lead_id).first()
    if row is None:
        return None
    lead = Lead.objects.select_related("company", "first_campaign").get(pk=lead_id)
    keys = LeadKey.objects.filter(lead_id=lead_id).order_by("id").values("source", "external_id")
    outcomes = Outcome.objects.filter(lead_id=lead_id, voided_at=None, replaced_by=None).order_by("at", "id")
    return {
        **listed(row),
        "facts": facts_of(lead),
        "keys": list(keys),
        "outcomes": list(
            outcomes.values("source", "external_id", "kind", "amount", "at", "undated", "reason")
        ),
        "last_own_act_at": lead.last_own_act_at,
        "review_at": lead.review_at,
        "crm_url": lead.crm_url,
        "external_owner": lead.external_owner,
    }


def facts_of(lead: Lead) -> dict[str, Any]:
    """Every known fact of the lead and its company by key, custom ones too; what is unknown is left out."""
    found: dict[str, Any] = {}
    for key, fact in known_facts().items():
        subject: Any = lead if fact.subject == "lead" else lead.company
        if subject is None:
            continue
        value = subject.custom.get(fact.custom) if fact.custom else getattr(subject, fact.column)
        if key == "first_campaign":
            value = lead.first_campaign.code if lead.first_campaign else None
        elif key == "is_customer":
            value = value is not None
        if value is not None and value != "":
            found[key] = value
    return found


@dataclass(frozen=True)
class Entry:
    """One line of a timeline. `what`: activity, fact, stage, answer or outcome; `mark` orders and pages."""

    at: datetime
    what: str
    id: int
    text: str
    detail: dict[str, Any]

    @property
    def mark(self) -> tuple[datetime, str, int]:
        return (self.at, self.what, self.id)


Mark = tuple[datetime, str, int]


def timeline(lead_id: int, before: Mark | None = None, limit: int = 30) -> tuple[list[Entry], Mark | None]:
    """The newest entries before a mark, newest first, and the mark of the next page. Five queries."""
    entries: list[Entry] = []
    for what, source, field in (
        ("activity", _activities(lead_id), "occurred_at"),
        ("answer", _answers(lead_id), "at"),
        ("fact", _facts(lead_id), "recorded_at"),
        ("outcome", _outcomes(lead_id), "at"),
        ("stage", _stages(lead_id), "at"),
    ):
        rows = source.filter(_before(what, field, before)).order_by(f"-{field}", "-id")[: limit + 1]
        entries += [_TELL[what](row) for row in rows]
    entries.sort(key=lambda e: e.mark, reverse=True)
    shown = entries[:limit]
    return shown, shown[-1].mark if len(entries) > limit else None


def _before(what: str, field: str, mark: Mark | None) -> Q:
    if mark is None:
        return Q()
    at, kind, pk = mark
    earlier = Q(**{f"{field}__lt": at})
    if what < kind:
        return earlier | Q(**{field: at})
    return earlier | Q(**{field: at, "id__lt": pk}) if what == kind else earlier


def _activities(lead_id: int) -> QuerySet[Activity]:
    return Activity.objects.filter(lead_id=lead_id).select_related("kind", "campaign", "content", "user")


def _facts(lead_id: int) -> QuerySet[FactChange]:
    return FactChange.objects.filter(lead_id=lead_id)


def _stages(lead_id: int) -> QuerySet[StageChange]:
    return StageChange.objects.filter(lead_id=lead_id)


def _answers(lead_id: int) -> QuerySet[Answer]:
    return Answer.objects.filter(lead_id=lead_id, voided_at=None).select_related("rep")


def _outcomes(lead_id: int) -> QuerySet[Outcome]:
    return Outcome.objects.filter(lead_id=lead_id, voided_at=None, replaced_by=None)


def _tell_activity(row: Activity) -> Entry:
    detail = {
        "kind": row.kind.key,
        "source": row.source,
        "external_id": row.external_id,
        "path": row.path,
        "campaign": row.campaign.code if row.campaign else "",
        "content": row.content.key if row.content else "",
        "by": row.user.name if row.user else "",
        "channel": row.channel,
        "result": row.result,
        "properties": row.properties,
        "recorded_at": row.recorded_at,
    }
    return Entry(row.occurred_at, "activity", row.pk, row.kind.phrase, _given(detail))


def _tell_fact(row: FactChange) -> Entry:
    label = FACTS[row.field].label if row.field in FACTS else row.field
    return Entry(
        row.recorded_at,
        "fact",
        row.pk,
        f"{label} changed",
        {"field": row.field, "old": row.old, "cause": row.cause},
    )


def _tell_stage(row: StageChange) -> Entry:
    detail = {"from": row.from_stage, "to": row.to_stage, "cause": row.cause}
    return Entry(row.at, "stage", row.pk, row.get_to_stage_display(), _given(detail))


def _tell_answer(row: Answer) -> Entry:
    detail = {
        "kind": row.kind,
        "reason": row.reason_key,
        "note": row.note,
        "by": row.rep.name if row.rep else "",
    }
    return Entry(row.at, "answer", row.pk, f"Sales: {row.kind}", _given(detail))


def _tell_outcome(row: Outcome) -> Entry:
    detail = {
        "kind": row.kind,
        "amount": row.amount,
        "undated": row.undated,
        "reason": row.reason,
        "source": row.source,
    }
    return Entry(row.at, "outcome", row.pk, row.get_kind_display(), _given(detail))


def _given(detail: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in detail.items() if value not in ("", None, {})}


_TELL: dict[str, Any] = {
    "activity": _tell_activity,
    "fact": _tell_fact,
    "stage": _tell_stage,
    "answer": _tell_answer,
    "outcome": _tell_outcome,
}


def duplicates() -> QuerySet[DuplicatePair]:
    """Pairs of leads that one row named together and that nobody has looked at, newest first."""
    return (
        DuplicatePair.objects.filter(settled_at=None).select_related("lead", "other").order_by("-at", "-id")
    )
