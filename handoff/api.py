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
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
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

PAGE = 50
PAGE_LIMIT = 200
LARGEST_ID = 2**63 - 1
# What an act of this room takes, and nothing else.
ARGUMENTS = {
    name: (*row.needs, *row.takes)
    for name, row in states.TABLE.items()
    if not row.closed_loop and row.name not in ("open", "outcome")
}
INSTANTS = ("occurred_at",)


@extend_schema_serializer(component_name="AllowedAct")
class ActionOut(serializers.Serializer[Any]):
    """An act that the caller may do now."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    needs = serializers.ListField(child=serializers.CharField())


@extend_schema_serializer(component_name="Handoff")
class HandoffOut(serializers.Serializer[Any]):
    """A handoff: whose it is, until when, why now, and what the caller may do."""

    id = serializers.IntegerField()
    lead_id = serializers.IntegerField()
    lead_name = serializers.CharField()
    company = serializers.CharField(allow_blank=True)
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


@extend_schema_serializer(component_name="HandoffAct")
class ActIn(serializers.Serializer[Any]):
    """What an act may need; which of it, `needs` of the allowed actions tells."""

    channel = serializers.ChoiceField(list(guards.CHANNELS), required=False)
    result = serializers.ChoiceField(list(guards.RESULTS), required=False)
    note = serializers.CharField(required=False)
    occurred_at = serializers.DateTimeField(required=False)
    to = serializers.IntegerField(required=False)
    until = serializers.DateTimeField(required=False)
    reason = serializers.CharField(required=False)


def shown(handoff: Handoff, actions: Sequence[states.Action], at: datetime) -> dict[str, Any]:
    """A handoff as the API shows it."""
    lead = handoff.lead
    return {
        "id": handoff.pk,
        "lead_id": handoff.lead_id,
        "lead_name": str(lead),
        "company": lead.company.name if lead.company else "",
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
        "actions": [{"name": a.name, "label": a.label, "needs": list(a.needs)} for a in actions],
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
            OpenApiParameter("due_before", datetime, description="Only promises due before this instant"),
            OpenApiParameter("limit", int, description=f"At most {PAGE_LIMIT}"),
            OpenApiParameter("cursor", str, description="From `next` of the page before"),
        ],
        responses=PageOut,
    )
    def get(self, request: Request) -> Response:
        """One page; follow `next` until it is null."""
        limit = _limit(request.query_params.get("limit"))
        rows = list(_asked(request)[: limit + 1])
        page, at, actor = rows[:limit], clock.now(), actor_of(request)
        may = machine.allowed_many(page, actor, at)
        results = [HandoffOut(shown(row, may[row.pk], at)).data for row in page]
        last = page[-1].pk if len(rows) > limit else None
        return Response({"results": results, "next": _next(request, last)})


class OneHandoff(APIView):
    """One handoff."""

    scopes = {"GET": "handoffs:read"}

    @extend_schema(operation_id="handoffs_show", responses=HandoffOut)
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
        request=ActIn,
        responses=HandoffOut,
        parameters=[
            OpenApiParameter("action", str, OpenApiParameter.PATH, enum=sorted(ARGUMENTS)),
            OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER),
        ],
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
        if value is not None and not isinstance(value, str | int):
            raise BadInput("That cannot be read.", [Fault(name, "A text or a number.")])
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
    if owner.isascii() and owner.isdigit() and int(owner) <= LARGEST_ID:
        return found.filter(owner=int(owner))
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
