"""The API of handoffs: read them with what the caller may do, and act. Acts that reach into nurture (reject,
return, qualify, win, lose, undo, dispute, settle) are feedback's, at the same kind of address."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from handoff import guards, machine, states, why
from handoff.models import Handoff, State
from leadflow import clock
from leadflow.accounts.actors import Actor
from leadflow.accounts.api import actor_of, idempotent
from leadflow.errors import BadInput, Fault, NotVisible
from leadflow.numbers import LARGEST_ID, whole

PAGE = 50
PAGE_LIMIT = 200
# What an act of this room takes, and nothing else.
ARGUMENTS = {
    name: (*row.needs, *row.takes)
    for name, row in states.TABLE.items()
    if not row.closed_loop and row.name not in ("open", "outcome")
}
INSTANTS = ("occurred_at",)
# The closed-loop acts name these as their own addresses take them.
NEEDS = {"dispute": ("comment",), "settle": ("result",)}
TAKES = {"settle": ("comment",)}

_TEXT: dict[str, Any] = {"type": "string"}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"path": _TEXT, "message": _TEXT}},
        },
    },
    "required": ["type", "title", "status", "errors"],
}
_MAYBE: dict[str, Any] = {**_TEXT, "nullable": True}
_CONFLICT: dict[str, Any] = {
    **_PROBLEM,
    "properties": {
        **_PROBLEM["properties"],
        "current": {
            "type": "object",
            "description": "How it stands: who has it, who did what, and when",
            "properties": {
                "id": {"type": "integer"},
                "state": _TEXT,
                "owner": {"type": "integer", "nullable": True},
                "owner_name": _TEXT,
                "by": _TEXT,
                "at": {**_TEXT, "format": "date-time"},
                "action": _TEXT,
            },
            "additionalProperties": True,
        },
    },
    "required": [*_PROBLEM["required"], "current"],
    "example": {
        "type": "about:blank",
        "title": "Ben accepted this 20 s ago.",
        "status": 409,
        "errors": [],
        "current": {
            "id": 4711,
            "state": "accepted",
            "owner": 7,
            "owner_name": "Ben",
            "by": "Ben",
            "at": "2026-11-24T08:12:40+00:00",
            "action": "accept",
        },
    },
}
READ_PROBLEMS: dict[Any, Any] = {
    (code, "application/problem+json"): _PROBLEM for code in (400, 401, 403, 404, 405, 406)
}
# Of every act, here and in feedback.
ACT_PROBLEMS: dict[Any, Any] = {
    **READ_PROBLEMS,
    **{(code, "application/problem+json"): _PROBLEM for code in (413, 415)},
    (409, "application/problem+json"): _CONFLICT,
}
IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same request again is answered alike, for 24 h; another request with it is a 409",
)
_ACT_IN: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "What the act takes; `needs` and `takes` of the allowed actions tell",
    "properties": {
        "channel": {**_TEXT, "enum": list(guards.CHANNELS)},
        "result": {**_TEXT, "enum": list(guards.RESULTS)},
        "note": _TEXT,
        "occurred_at": {**_TEXT, "format": "date-time", "description": "When the contact was"},
        "call_back": {
            **_TEXT,
            "description": "When to try again, where that was agreed: an instant or a day",
        },
        "to": {"oneOf": [{"type": "integer"}, {**_TEXT, "enum": ["pool"]}], "description": "A person’s id"},
        "until": {**_TEXT, "description": "Sleep until then: an instant or a day"},
        "reason": _TEXT,
    },
}
_EXAMPLES = [
    OpenApiExample("accept, claim, wake", value={}, request_only=True),
    OpenApiExample(
        "touch, log_contact",
        value={"channel": "phone", "result": "talked", "note": "Wants a demo on Friday"},
        request_only=True,
    ),
    OpenApiExample(
        "snooze", value={"until": "2026-12-01", "reason": "Back from leave then"}, request_only=True
    ),
    OpenApiExample("reassign", value={"to": 7, "reason": "Speaks Polish"}, request_only=True),
]


@extend_schema_serializer(component_name="AllowedAct")
class ActionOut(serializers.Serializer[Any]):
    """An act that the caller may do now."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    needs = serializers.ListField(child=serializers.CharField())
    takes = serializers.ListField(child=serializers.CharField())
    url = serializers.CharField(help_text="Where to POST it")


@extend_schema_serializer(component_name="Handoff")
class HandoffOut(serializers.Serializer[Any]):
    """A handoff: whose it is, until when, why now, and what the caller may do."""

    id = serializers.IntegerField()
    lead_id = serializers.IntegerField()
    lead_name = serializers.CharField()
    company = serializers.CharField(allow_blank=True)
    crm_url = serializers.CharField(allow_blank=True)
    external_owner = serializers.CharField(allow_blank=True)
    kind = serializers.ChoiceField(Handoff.Kind.choices)
    state = serializers.ChoiceField(State.choices)
    owner_id = serializers.IntegerField(allow_null=True)
    owner = serializers.CharField(allow_blank=True)
    team_id = serializers.IntegerField(allow_null=True)
    pool = serializers.BooleanField()
    total = serializers.IntegerField(allow_null=True)
    grade = serializers.CharField(allow_blank=True)
    why_now = serializers.CharField(allow_blank=True)
    must_know_gaps = serializers.ListField(child=serializers.CharField())
    route = serializers.CharField(allow_blank=True)
    promise = serializers.CharField(allow_blank=True)
    due_at = serializers.DateTimeField(allow_null=True)
    late = serializers.BooleanField()
    snoozed_until = serializers.DateTimeField(allow_null=True)
    offered_at = serializers.DateTimeField()
    first_offered_at = serializers.DateTimeField()
    accepted_at = serializers.DateTimeField(allow_null=True)
    first_touch_at = serializers.DateTimeField(allow_null=True)
    reached_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    attempts = serializers.IntegerField()
    reason_key = serializers.CharField(allow_blank=True)
    note = serializers.CharField(allow_blank=True)
    amount = serializers.DecimalField(14, 2, allow_null=True)
    changed_at = serializers.DateTimeField()
    actions = ActionOut(many=True)


@extend_schema_serializer(component_name="HandoffPage")
class PageOut(serializers.Serializer[Any]):
    """One page of handoffs."""

    results = HandoffOut(many=True)
    next = serializers.CharField(allow_null=True)


def shown(handoff: Handoff, actions: Sequence[states.Action], at: datetime) -> dict[str, Any]:
    """A handoff as the API shows it."""
    lead = handoff.lead
    return {
        "id": handoff.pk,
        "lead_id": handoff.lead_id,
        "lead_name": str(lead),
        "company": lead.company.name if lead.company else "",
        "crm_url": lead.crm_url,
        "external_owner": lead.external_owner,
        "kind": handoff.kind,
        "state": handoff.state,
        "owner_id": handoff.owner_id,
        "owner": handoff.owner.name if handoff.owner else "",
        "team_id": handoff.team_id,
        "pool": handoff.pool,
        "total": handoff.total,
        "grade": handoff.grade,
        "why_now": handoff.why_now,
        "must_know_gaps": why.gaps_of(handoff),
        "route": handoff.route,
        "promise": handoff.sla_promise,
        "due_at": handoff.sla_due_at,
        "late": handoff.sla_due_at is not None and handoff.sla_due_at < at,
        "snoozed_until": handoff.snoozed_until,
        "offered_at": handoff.offered_at,
        "first_offered_at": handoff.first_offered_at,
        "accepted_at": handoff.accepted_at,
        "first_touch_at": handoff.first_touch_at,
        "reached_at": handoff.reached_at,
        "closed_at": handoff.closed_at,
        "attempts": handoff.attempts,
        "reason_key": handoff.reason_key,
        "note": handoff.note,
        "amount": handoff.amount,
        "changed_at": handoff.changed_at,
        "actions": [_allowed(handoff, action) for action in actions],
    }


def _allowed(handoff: Handoff, action: states.Action) -> dict[str, Any]:
    return {
        "name": action.name,
        "label": action.label,
        "needs": list(NEEDS.get(action.name, action.needs)),
        "takes": list(TAKES.get(action.name, action.takes)),
        "url": f"/api/v1/handoffs/{handoff.pk}/{action.name}/",
    }


def answer(handoff: Handoff, actor: Actor) -> Response:
    """One handoff, with what the caller may do next."""
    at = clock.now()
    return Response(HandoffOut(shown(handoff, machine.allowed(handoff, actor, at), at)).data)


class Handoffs(APIView):
    """Handoffs, oldest first."""

    scopes = {"GET": "handoffs:read"}

    @extend_schema(
        operation_id="handoffs_list",
        parameters=[
            OpenApiParameter("state", str, many=True, enum=list(State.values), description="One or more"),
            OpenApiParameter("owner", str, description="An id, `me`, or `none` for what is in a pool"),
            OpenApiParameter("lead", int, description="Those of one lead, the closed ones too"),
            OpenApiParameter("due_before", datetime, description="Only promises due before this instant"),
            OpenApiParameter("limit", int, description=f"At most {PAGE_LIMIT}"),
            OpenApiParameter("cursor", str, description="From `next` of the page before"),
        ],
        responses={(200, "application/json"): PageOut, **READ_PROBLEMS},
    )
    def get(self, request: Request) -> Response:
        """One page; follow `next` until it is null."""
        limit = _limit(request.query_params.get("limit"))
        rows = list(_asked(request)[: limit + 1])
        page, at, actor = rows[:limit], clock.now(), actor_of(request)
        may = machine.allowed_many(page, actor, at)
        results = HandoffOut([shown(row, may[row.pk], at) for row in page], many=True).data
        last = page[-1].pk if len(rows) > limit else None
        return Response({"results": results, "next": _next(request, last)})


class OneHandoff(APIView):
    """One handoff."""

    scopes = {"GET": "handoffs:read"}

    @extend_schema(
        operation_id="handoffs_show", responses={(200, "application/json"): HandoffOut, **READ_PROBLEMS}
    )
    def get(self, request: Request, pk: int) -> Response:
        """The handoff with what the caller may do."""
        found = _rows().filter(pk=pk).first()
        if found is None:
            raise NotVisible
        return answer(found, actor_of(request))


class ActOnHandoff(APIView):
    """An act: accept, claim, touch, log_contact, reassign, snooze, wake, withdraw."""

    scopes = {"POST": "handoffs:write"}

    @extend_schema(
        operation_id="handoffs_act",
        request={"application/json": _ACT_IN},
        responses={(200, "application/json"): HandoffOut, **ACT_PROBLEMS},
        parameters=[
            OpenApiParameter("action", str, OpenApiParameter.PATH, enum=sorted(ARGUMENTS)),
            IDEMPOTENCY,
        ],
        examples=_EXAMPLES,
    )
    @idempotent
    def post(self, request: Request, pk: int, action: str) -> Response:
        """Do it once. 409 with the current state when somebody was faster."""
        if action not in ARGUMENTS:
            raise BadInput(
                "There is no such act.", [Fault("action", f"Known: {', '.join(sorted(ARGUMENTS))}.")]
            )
        actor = actor_of(request)
        handoff = machine.apply(action, pk, actor, **_arguments(request.data, action))
        return answer(handoff, actor)


def _arguments(data: Any, action: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise BadInput("The body must be a JSON object.", [Fault("", "Send an object, or nothing.")])
    known = ARGUMENTS[action]
    unknown = sorted(str(name) for name in data if name not in known)
    if unknown:
        allowed = ", ".join(known) or "none"
        raise BadInput(f"“{action}” takes: {allowed}.", [Fault(name[:80], "Unknown.") for name in unknown])
    for name, value in data.items():
        fits = isinstance(value, str) or value is None
        if not fits and not (name == "to" and isinstance(value, int) and not isinstance(value, bool)):
            raise BadInput("That cannot be read.", [Fault(name, "Send a text.")])
    return {name: _instant(value, name) if name in INSTANTS else value for name, value in data.items()}


def _instant(value: Any, name: str) -> datetime | None:
    if value in (None, ""):
        return None
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise BadInput("That is no instant.", [Fault(name, "Write it as 2026-12-01T09:00:00+01:00.")])
    return found


def _rows() -> QuerySet[Handoff]:
    return Handoff.objects.select_related("lead__company", "owner", "team")


def _asked(request: Request) -> QuerySet[Handoff]:
    asked = request.query_params
    found = _rows().order_by("pk")
    wanted = [state for part in asked.getlist("state") for state in part.split(",") if state]
    if wanted:
        unknown = sorted(set(wanted) - set(State.values))
        if unknown:
            raise BadInput("Unknown state.", [Fault("state", f"Known: {', '.join(State.values)}.")])
        found = found.filter(state__in=wanted)
    if owner := asked.get("owner"):
        found = _of_owner(found, owner, request)
    if lead := asked.get("lead"):
        if (named := whole(lead)) is None:
            raise BadInput("Unknown lead.", [Fault("lead", "A lead’s id.")])
        found = found.filter(lead=named)
    if asked.get("due_before"):
        found = found.filter(sla_due_at__lt=_instant(asked["due_before"], "due_before"))
    if asked.get("cursor"):
        found = found.filter(pk__gt=_mark(asked["cursor"]))
    return found


def _of_owner(found: QuerySet[Handoff], owner: str, request: Request) -> QuerySet[Handoff]:
    if owner == "none":
        return found.filter(owner=None)
    if owner == "me" and actor_of(request).user_id:
        return found.filter(owner=actor_of(request).user_id)
    if (named := whole(owner)) is not None:
        return found.filter(owner=named)
    raise BadInput("Unknown owner.", [Fault("owner", "An id, me (signed in), or none.")])


def _limit(raw: str | None) -> int:
    if raw is None:
        return PAGE
    if not (raw.isascii() and raw.isdigit() and 1 <= len(raw) <= 6):
        raise BadInput("That is no number of rows.", [Fault("limit", f"1 to {PAGE_LIMIT}.")])
    return max(1, min(PAGE_LIMIT, int(raw)))


def _next(request: Request, last: int | None) -> str | None:
    if last is None:
        return None
    cursor = base64.urlsafe_b64encode(json.dumps({"after": last}).encode()).decode()
    kept = [(k, v) for k, values in request.query_params.lists() for v in values if k != "cursor"]
    return request.build_absolute_uri(f"{request.path}?{urlencode([*kept, ('cursor', cursor)])}")


def _mark(text: str) -> int:
    try:
        after = json.loads(base64.urlsafe_b64decode(text.encode()))["after"]
        if isinstance(after, bool) or not isinstance(after, int) or not 0 <= after <= LARGEST_ID:
            raise ValueError
    except (ValueError, TypeError, KeyError, binascii.Error, RecursionError):
        raise BadInput(
            "The cursor cannot be read.", [Fault("cursor", "Take it from `next` of the page before.")]
        ) from None
    return int(after)
