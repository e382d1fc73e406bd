"""The API for leads, activities and outcomes. Rows are checked by the intake, not here."""

import base64
import binascii
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db import transaction
from django.db.models import Q
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiParameter, extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leadflow.accounts.api import (
    NDJSON,
    ROWS_LIMIT,
    Broken,
    JSONBody,
    NDJSONBody,
    actor_of,
    idempotent,
    rows_of,
    told,
)
from leadflow.errors import BadInput, Fault, NotVisible
from leadflow.leads import intake, ledgers, selectors
from leadflow.leads.folding import fold
from leadflow.leads.models import LeadKey, Outcome, Stage
from leadflow.leads.results import Rejected, Result
from leadflow.numbers import LARGEST_ID, whole

PAGE = 100
PAGE_LIMIT = 500
TIMELINE_LIMIT = 200
# The source of rows that name none.
SOURCE = "api"
EARLY = "Dated before the lead existed for us: taken, and left out of velocity and backtests."

PARSERS: Sequence[type[BaseParser]] = (JSONBody, NDJSONBody)


# --- the OpenAPI document --------------------------------------------------------------------------


def _object(properties: Mapping[str, Any], required: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": dict(properties), **more}
    return {**found, "required": list(required)} if required else found


_TEXT: dict[str, Any] = {"type": "string"}
_WHOLE: dict[str, Any] = {"type": "integer"}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_ANY: dict[str, Any] = {"type": "object", "additionalProperties": True}


def _maybe(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, "nullable": True}


_FAULTS = {"type": "array", "items": _object({"path": _TEXT, "message": _TEXT}, ["path", "message"])}
_PROBLEM = _object(
    {"type": _TEXT, "title": _TEXT, "status": _WHOLE, "errors": _FAULTS},
    ["type", "title", "status", "errors"],
)
_REJECTED = {"type": "array", "items": _object({"index": _WHOLE, "errors": _FAULTS}, ["index", "errors"])}
_LEAD_IN = _object(
    {
        "source": {
            **_TEXT,
            "description": "The system that names the lead (with external_id)",
            "default": SOURCE,
        },
        "external_id": _TEXT,
        "email": _TEXT,
        "name": _TEXT,
        "phone": _TEXT,
        "title": _TEXT,
        "country": _TEXT,
        "city": _TEXT,
        "first_source": {**_TEXT, "description": "Where the lead came from; without it the source"},
        "campaign": {**_TEXT, "description": "Code of the first campaign"},
        "company": _TEXT,
        "company_domain": _TEXT,
        "industry": _TEXT,
        "employees": _WHOLE,
        "revenue": {"type": "number"},
        "company_country": _TEXT,
        "crm_url": {**_TEXT, "description": "Where “Open in CRM” leads: the lead’s page there"},
        "external_owner": {**_TEXT, "description": "Who has the lead in the CRM"},
        "custom": _ANY,
    },
    additionalProperties=True,
    example={
        "source": "crm",
        "external_id": "4711",
        "email": "ann@acme.example",
        "name": "Ann Berg",
        "title": "Head of Fleet",
        "crm_url": "https://crm.example.com/leads/4711",
        "external_owner": "Kim Roth",
    },
)
_ACTIVITY_IN = _object(
    {
        "source": _TEXT,
        "external_id": _TEXT,
        "kind": _TEXT,
        "occurred_at": _TIME,
        "email": _TEXT,
        "lead_id": _WHOLE,
        "external_lead_id": _TEXT,
        "lead_source": _TEXT,
        "visitor_id": _TEXT,
        "path": _TEXT,
        "campaign": _TEXT,
        "content": _TEXT,
        "message_key": _TEXT,
        "user_id": _WHOLE,
        "channel": _TEXT,
        "result": _TEXT,
        "properties": _ANY,
    },
    ["source", "external_id", "kind", "occurred_at"],
    example={
        "source": "web",
        "external_id": "pv-1",
        "kind": "page_view",
        "occurred_at": "2026-11-24T09:12:00Z",
        "email": "ann@acme.example",
        "path": "/pricing",
    },
)
_OUTCOME_IN = _object(
    {
        "source": _TEXT,
        "external_id": _TEXT,
        "kind": {"type": "string", "enum": ["opportunity", "won", "lost", "renewed", "expanded", "churned"]},
        "email": _TEXT,
        "lead_id": _WHOLE,
        "external_lead_id": _TEXT,
        "lead_source": _TEXT,
        "amount": {"type": "number", "minimum": 0},
        "at": _TIME,
        "reason": _TEXT,
    },
    ["source", "external_id", "kind"],
    example={
        "source": "crm",
        "external_id": "deal-9",
        "kind": "won",
        "email": "ann@acme.example",
        "amount": 38400,
    },
)
_OUTCOME_OUT = _object(
    {
        "id": _WHOLE,
        "lead_id": _WHOLE,
        "source": _TEXT,
        "external_id": _TEXT,
        "kind": _TEXT,
        "amount": _maybe({"type": "number"}),
        "at": _TIME,
        "undated": {"type": "boolean"},
        "reason": _TEXT,
        "recorded_at": _TIME,
        "replaced_by": _maybe(_WHOLE),
        "taken_back": {"type": "boolean"},
    },
    ["id", "lead_id", "kind"],
)
_SCORE = _object(
    {"total": _WHOLE, "grade": _TEXT, "groups": _ANY, "preview": {"type": "boolean"}, "scored_at": _TIME}
)
_LEAD_OUT = _object(
    {
        "id": _WHOLE,
        "name": _TEXT,
        "email": _TEXT,
        "title": _TEXT,
        "stage": {"type": "string", "enum": list(Stage.values)},
        "level": _TEXT,
        "stage_since": _TIME,
        "company": _maybe(_object({"id": _WHOLE, "name": _TEXT, "domain": _maybe(_TEXT)})),
        "score": _maybe(_SCORE),
        "owner": _maybe(_object({"name": _TEXT, "email": _TEXT})),
        "last_answer": _maybe(_object({"kind": _TEXT, "reason": _TEXT, "note": _TEXT, "at": _TIME})),
        "created_at": _TIME,
        "changed_at": _TIME,
    },
    ["id", "stage"],
)
_ANYS: dict[str, Any] = {"type": "array", "items": _ANY}
_IN_CRM = {"crm_url": _TEXT, "external_owner": _TEXT}
_WHOLE_LEAD = {"allOf": [_LEAD_OUT, _object({"facts": _ANY, "keys": _ANYS, "outcomes": _ANYS, **_IN_CRM})]}
_TAKEN = _object(
    {"accepted": _WHOLE, "duplicate": _WHOLE, "rejected": _REJECTED}, ["accepted", "duplicate", "rejected"]
)
_NOTES = {"type": "array", "items": _object({"index": _WHOLE, "message": _TEXT}, ["index", "message"])}
_OUTCOMES_TAKEN = _object(
    {"accepted": _WHOLE, "duplicate": _WHOLE, "rejected": _REJECTED, "notes": _NOTES},
    ["accepted", "duplicate", "rejected", "notes"],
)
_ENTRY = _object(
    {"at": _TIME, "what": _TEXT, "id": _WHOLE, "text": _TEXT, "detail": _ANY}, ["at", "what", "id", "text"]
)


def _page(item: Mapping[str, Any]) -> dict[str, Any]:
    return _object({"results": {"type": "array", "items": item}, "next": _maybe(_TEXT)}, ["results", "next"])


_LEADS_OUT = _object(
    {
        "results": {"type": "array", "items": _LEAD_OUT},
        "next": _maybe(_TEXT),
        "until": {
            **_maybe(_TEXT),
            "description": "Changes from here on may still be in the making (usually two seconds) and come"
            " next time: ask then with changed_since at or before it. Null: nothing is in the making.",
        },
    },
    ["results", "next", "until"],
)


def _body(item: Mapping[str, Any], many: bool = True) -> dict[Any, Any]:
    if not many:
        return {"application/json": item}
    array = {"type": "array", "items": item, "maxItems": ROWS_LIMIT}
    return {"application/json": {"oneOf": [item, array]}, NDJSON: _TEXT}


def _answers(status: int, schema: Mapping[str, Any]) -> dict[Any, Any]:
    problems = {
        (code, "application/problem+json"): _PROBLEM for code in (400, 401, 403, 404, 405, 406, 409, 413, 415)
    }
    return {(status, "application/json"): dict(schema), **problems}


_IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same request again is answered alike, for 24 h",
)
_LIMIT = OpenApiParameter("limit", int, description=f"Rows per page, at most {PAGE_LIMIT}")
_CURSOR = OpenApiParameter("cursor", str, description="From `next` of the page before")


# --- leads -----------------------------------------------------------------------------------------


class Leads(APIView):
    """Leads: take one in, or list what changed."""

    scopes = {"GET": "leads:read", "POST": "leads:write"}

    @extend_schema(
        operation_id="leads_list",
        summary="Leads in the order of their last change: score, grade, stage, owner, sales' last answer",
        parameters=[
            OpenApiParameter(
                "changed_since", datetime, description="Only leads changed at or after this instant"
            ),
            OpenApiParameter("stage", str, enum=list(Stage.values)),
            OpenApiParameter("email", str),
            OpenApiParameter("source", str, description="With external_id: the lead of this name"),
            OpenApiParameter("external_id", str),
            _LIMIT,
            _CURSOR,
        ],
        responses=_answers(200, _LEADS_OUT),
    )
    def get(self, request: Request) -> Response:
        """One page, oldest change first; follow `next` until it is null, and go on from `until` next time."""
        asked = request.query_params
        found = selectors.leads()
        since = _instant(asked.get("changed_since"), "changed_since")
        if stage := asked.get("stage"):
            if stage not in Stage.values:
                raise BadInput("Unknown stage.", [Fault("stage", f"Known are: {', '.join(Stage.values)}.")])
            found = found.filter(stage=stage)
        if email := asked.get("email"):
            found = found.filter(email_key=fold(_storable(email, "email")))
        if external_id := asked.get("external_id"):
            key = LeadKey.objects.filter(
                source=_storable(asked.get("source", SOURCE), "source"),
                external_id=_storable(external_id, "external_id"),
            )
            found = found.filter(pk__in=key.values("lead_id"))
        limit = _limit(asked.get("limit"), PAGE, PAGE_LIMIT)
        after = _cursor(asked["cursor"], 2) if asked.get("cursor") else None
        # Who asks for one lead by name gets it as it is; who follows the changes must not miss one.
        until = None if email or external_id else selectors.settled()
        rows, mark = selectors.by_change(
            found, limit, since=since, after=(after[0], after[1]) if after else None, until=until
        )
        following = [mark[0].isoformat(), mark[1]] if mark else None
        return Response(
            {
                "results": [selectors.listed(row) for row in rows],
                "next": _next(request, following),
                "until": until.isoformat() if until else None,
            }
        )

    @extend_schema(
        operation_id="leads_upsert",
        summary="Make or change one lead, known by e-mail or by (source, external_id)",
        parameters=[_IDEMPOTENCY],
        request=_body(_LEAD_IN, many=False),
        responses=_answers(200, _WHOLE_LEAD) | {(201, "application/json"): _WHOLE_LEAD},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """201 for a new lead, 200 for a known one; what is left out stays as it is."""
        if not isinstance(request.data, dict):
            raise BadInput("Send one lead as an object; many go to leads/bulk/.")
        result = _upsert([request.data], request)
        if result.rejected:
            raise BadInput("The lead was not taken.", result.rejected[0].errors)
        return Response(selectors.whole(result.accepted[0]), status=201 if result.created else 200)


class LeadsBulk(APIView):
    """Many leads at once."""

    scopes = {"POST": "leads:write"}
    parser_classes = PARSERS

    @extend_schema(
        operation_id="leads_bulk",
        summary=f"Make or change up to {ROWS_LIMIT:,} leads; good rows are kept",
        parameters=[_IDEMPOTENCY],
        request=_body(_LEAD_IN),
        responses=_answers(
            200,
            _object(
                {
                    "accepted": _WHOLE,
                    "created": _WHOLE,
                    "changed": _WHOLE,
                    "ids": {"type": "array", "items": _maybe(_WHOLE)},
                    "rejected": _REJECTED,
                }
            ),
        ),
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """`ids` has the lead of each row, null where it was rejected."""
        rows = rows_of(request)
        result = _upsert(rows, request)
        return Response(
            {
                "accepted": len(result.lead_of),
                "created": len(result.created),
                "changed": len(result.changed),
                "ids": [result.lead_of.get(index) for index in range(len(rows))],
                "rejected": _rejected(result),
            }
        )


def _upsert(rows: Sequence[Any], request: Request) -> Result:
    """Take rows of any sources in; each source is one batch, all in one transaction."""
    whole = Result()
    by_source: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            message = row.message if isinstance(row, Broken) else "A lead is an object of names and values."
            whole.rejected.append(Rejected(index, [Fault("", message)]))
            continue
        source = row.get("source") or SOURCE
        by_source[source if isinstance(source, str) else json.dumps(source)].append(index)
    with transaction.atomic():
        for source, indexes in by_source.items():
            batch = [{name: v for name, v in rows[i].items() if name != "source"} for i in indexes]
            try:
                part = intake.upsert_leads(batch, source=source, actor=actor_of(request))
            except BadInput as bad:
                whole.rejected += [Rejected(i, bad.faults) for i in indexes]
                continue
            whole.accepted += part.accepted
            whole.created += part.created
            whole.changed += part.changed
            whole.lead_of |= {indexes[i]: lead_id for i, lead_id in part.lead_of.items()}
            whole.rejected += [Rejected(indexes[r.index], r.errors) for r in part.rejected]
    whole.rejected.sort(key=lambda r: r.index)
    return whole


class OneLead(APIView):
    """One lead."""

    scopes = {"GET": "leads:read"}

    @extend_schema(
        operation_id="lead", summary="One lead with all its facts", responses=_answers(200, _WHOLE_LEAD)
    )
    def get(self, request: Request, pk: int) -> Response:
        """404 for a lead that is unknown, merged or erased."""
        found = selectors.whole(pk) if pk <= LARGEST_ID else None
        if found is None:
            raise NotVisible
        return Response(found)


class Timeline(APIView):
    """What happened to one lead."""

    scopes = {"GET": "leads:read"}

    @extend_schema(
        operation_id="lead_timeline",
        summary="Activities, changed facts, stages, sales' answers and outcomes, newest first",
        parameters=[_LIMIT, _CURSOR],
        responses=_answers(200, _page(_ENTRY)),
    )
    def get(self, request: Request, pk: int) -> Response:
        """One page; follow `next` into the past until it is null."""
        if pk > LARGEST_ID or not selectors.leads().filter(pk=pk).exists():
            raise NotVisible
        mark = None
        if cursor := request.query_params.get("cursor"):
            at, what, entry = _cursor(cursor, 3)
            mark = (at, str(what), entry)
        limit = _limit(request.query_params.get("limit"), 30, TIMELINE_LIMIT)
        entries, more = selectors.timeline(pk, mark, limit)
        after = [more[0].isoformat(), more[1], more[2]] if more else None
        results = [
            {"at": e.at, "what": e.what, "id": e.id, "text": e.text, "detail": e.detail} for e in entries
        ]
        return Response({"results": results, "next": _next(request, after)})


# --- activities and outcomes -----------------------------------------------------------------------


class Activities(APIView):
    """What leads did."""

    scopes = {"POST": "activities:write"}
    parser_classes = PARSERS

    @extend_schema(
        operation_id="activities",
        summary=f"Record up to {ROWS_LIMIT:,} activities; each counts once by (source, external_id)",
        parameters=[_IDEMPOTENCY],
        request=_body(_ACTIVITY_IN),
        responses=_answers(202, _TAKEN),
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Good rows are kept; each rejected one says by its index what is wrong and what to do."""
        actor = actor_of(request)
        return _taken(request, lambda rows: intake.record_activities(rows, actor=actor, strict=True))


class Outcomes(APIView):
    """What became of leads."""

    scopes = {"GET": "outcomes:read", "POST": "outcomes:write"}
    parser_classes = PARSERS

    @extend_schema(
        operation_id="outcomes_list",
        summary="Outcomes in the order in which they were recorded; those taken back or replaced say so",
        parameters=[
            OpenApiParameter("recorded_since", datetime, description="Only those recorded at or after it"),
            OpenApiParameter("kind", str, enum=list(Outcome.Kind.values)),
            OpenApiParameter("lead_id", int),
            _LIMIT,
            _CURSOR,
        ],
        responses=_answers(200, _page(_OUTCOME_OUT)),
    )
    def get(self, request: Request) -> Response:
        """One page, the oldest first; follow `next` until it is null."""
        asked = request.query_params
        found = Outcome.objects.filter(lead__erased_at=None)
        if since := _instant(asked.get("recorded_since"), "recorded_since"):
            found = found.filter(recorded_at__gte=since)
        if kind := asked.get("kind"):
            if kind not in Outcome.Kind.values:
                known = ", ".join(Outcome.Kind.values)
                raise BadInput("Unknown kind.", [Fault("kind", f"Known are: {known}.")])
            found = found.filter(kind=kind)
        if lead := asked.get("lead_id"):
            if (named := whole(lead)) is None:
                raise BadInput("The lead cannot be read.", [Fault("lead_id", "Write its number.")])
            found = found.filter(lead=named)
        if cursor := asked.get("cursor"):
            at, last = _cursor(cursor, 2)
            found = found.filter(Q(recorded_at__gt=at) | Q(recorded_at=at, pk__gt=last))
        limit = _limit(asked.get("limit"), PAGE, PAGE_LIMIT)
        rows = list(found.order_by("recorded_at", "pk")[: limit + 1])
        more = rows[limit - 1] if len(rows) > limit else None
        mark = [more.recorded_at.isoformat(), more.pk] if more else None
        return Response({"results": [_outcome(row) for row in rows[:limit]], "next": _next(request, mark)})

    @extend_schema(
        operation_id="outcomes",
        summary=f"Record up to {ROWS_LIMIT:,} outcomes; the same one again corrects it",
        parameters=[_IDEMPOTENCY],
        request=_body(_OUTCOME_IN),
        responses=_answers(202, _OUTCOMES_TAKEN),
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Without `at` an outcome counts as undated. `duplicate` said nothing new; `notes` tell the odd."""
        actor = actor_of(request)
        return _taken(request, lambda rows: ledgers.record_outcomes(rows, actor=actor), noting=True)


def _outcome(row: Outcome) -> dict[str, Any]:
    return {
        "id": row.pk,
        "lead_id": row.lead_id,
        "source": row.source,
        "external_id": row.external_id,
        "kind": row.kind,
        "amount": None if row.amount is None else float(row.amount),
        "at": row.at,
        "undated": row.undated,
        "reason": row.reason,
        "recorded_at": row.recorded_at,
        "replaced_by": row.replaced_by_id,
        "taken_back": row.voided_at is not None,
    }


def _taken(request: Request, take: Callable[[list[Any]], Result], *, noting: bool = False) -> Response:
    rows = rows_of(request)
    if Broken in set(map(type, rows)):
        good = [index for index, row in enumerate(rows) if not isinstance(row, Broken)]
        broken = [
            Rejected(i, [Fault("", row.message)]) for i, row in enumerate(rows) if isinstance(row, Broken)
        ]
        result = take([rows[index] for index in good])
        result.rejected = [Rejected(good[r.index], r.errors) for r in result.rejected] + broken
        result.early = [good[index] for index in result.early]
    else:
        result = take(rows)
    answer: dict[str, Any] = {
        "accepted": len(result.accepted),
        "duplicate": len(result.duplicate),
        "rejected": _rejected(result),
    }
    if noting:
        answer["notes"] = [{"index": index, "message": EARLY} for index in result.early]
    return Response(answer, status=202)


def _rejected(result: Result) -> list[dict[str, Any]]:
    return [
        {"index": r.index, "errors": told(r.errors)} for r in sorted(result.rejected, key=lambda r: r.index)
    ]


# --- what a query says -----------------------------------------------------------------------------


def _instant(text: str | None, name: str) -> datetime | None:
    if not text:
        return None
    try:
        # A plus that was not escaped arrives as a blank.
        found = parse_datetime(text.strip().replace(" ", "+") if "T" in text else text.strip())
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not 1 < found.year < 9999:
        raise BadInput(
            "The time cannot be read.", [Fault(name, "Write it with its zone, as 2026-11-24T09:12:00Z.")]
        )
    return found


def _limit(text: str | None, usual: int, most: int) -> int:
    if not text:
        return usual
    limit = whole(text, 1, most)
    if limit is None:
        raise BadInput("The limit cannot be read.", [Fault("limit", f"Write a number from 1 to {most}.")])
    return limit


def _storable(text: str, name: str) -> str:
    if "\x00" in text:
        raise BadInput("The text cannot be read.", [Fault(name, "It holds a NUL character. Take it out.")])
    return text


def _next(request: Request, mark: Sequence[Any] | None) -> str | None:
    if mark is None:
        return None
    cursor = base64.urlsafe_b64encode(json.dumps(mark).encode()).decode()
    kept = {name: value for name, value in request.query_params.items() if name != "cursor"}
    return request.build_absolute_uri(f"{request.path}?{urlencode({**kept, 'cursor': cursor})}")


def _cursor(text: str, length: int) -> list[Any]:
    try:
        at, *rest = json.loads(base64.urlsafe_b64decode(text.encode()))
        mark = [datetime.fromisoformat(at), *rest]
        if (
            len(mark) != length
            or not isinstance(mark[-1], int)
            or mark[0].tzinfo is None
            or abs(mark[-1]) > LARGEST_ID
        ):
            raise ValueError
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise BadInput(
            "The cursor cannot be read.", [Fault("cursor", "Take it from `next` of the page before.")]
        ) from None
    return mark


# --- the documentation -----------------------------------------------------------------------------


class Schema(SpectacularAPIView):
    """The OpenAPI document, for everybody who is signed in or has a key."""

    scopes = {"GET": "any"}


class Docs(SpectacularSwaggerSplitView):
    """The page to read about the API and to try it; all from our own server."""

    scopes = {"GET": "any"}
    url_name = "api:schema"
    template_name = "api/docs.html"
    title = "LeadFlow API"
