"""The API's answer to "why this score"."""

from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leadflow import clock
from leadflow.errors import BadInput, Fault, NotVisible
from leadflow.leads.models import Lead
from scoring.explanation import explain, score_at
from scoring.models import LeadScore

BIGGEST_ID = 2**63 - 1
_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_TIME = {"type": "string", "format": "date-time"}
_LINE = {
    "type": "object",
    "properties": {
        "criterion": _TEXT,
        "text": _TEXT,
        "group": _TEXT,
        "points": {"type": "number"},
        "evidence": _TEXT,
    },
}
_SCORE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "total": _WHOLE,
        "grade": _TEXT,
        "groups": {"type": "object", "additionalProperties": _WHOLE},
        "version": _WHOLE,
        "preview": {"type": "boolean"},
        "at": _TIME,
        "known_at": _TIME,
        "excluded_by": _TEXT,
        "thresholds": {"type": "object", "additionalProperties": True},
        "lines": {"type": "array", "items": _LINE},
    },
    "required": ["total", "grade", "groups", "version", "at", "known_at", "lines"],
}
_PROBLEM = {"type": "object", "additionalProperties": True}


class Score(APIView):
    """The score of a lead with its reasons; the points of the lines add up to the total."""

    scopes = {"GET": "leads:read"}

    @extend_schema(
        operation_id="lead_score",
        summary="Why a lead has its score, now or at an instant",
        parameters=[
            OpenApiParameter("at", datetime, description="As it was stored at this instant"),
            OpenApiParameter(
                "known_at",
                str,
                enum=["now"],
                description="What we would say today, by today's agreement and knowledge, about `at`",
            ),
        ],
        responses={
            (200, "application/json"): _SCORE,
            **{(code, "application/problem+json"): _PROBLEM for code in (400, 401, 403, 404, 405, 406)},
        },
    )
    def get(self, request: Request, pk: int) -> Response:
        """404 for an unknown lead, and for one without a score at that instant."""
        at = _instant(request.query_params.get("at"))
        known_at = request.query_params.get("known_at")
        if known_at not in (None, "", "now"):
            raise BadInput("known_at can only be “now”.", [Fault("known_at", "Write now, or leave it out.")])
        if pk > BIGGEST_ID or not Lead.objects.filter(pk=pk).exists():
            raise NotVisible
        if at is None and not known_at:
            if not LeadScore.objects.filter(lead_id=pk).exists():
                raise NotVisible
            return Response(explain(pk).as_json())
        found = score_at(pk, at or clock.now(), known_now=known_at == "now")
        if found is None:
            raise NotVisible
        return Response(found.as_json())


def _instant(raw: str | None) -> datetime | None:
    if not raw:
        return None
    # A plus in a query that was not quoted arrives as a blank.
    text = raw.strip().replace(" ", "+") if "T" in raw else raw.strip()
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise BadInput("This is no instant.", [Fault("at", "Write it as 2026-11-24T09:12:00Z.")])
    try:
        return found.astimezone(clock.now().tzinfo)
    except OverflowError:
        raise BadInput("This is no instant.", [Fault("at", "It is out of the calendar.")]) from None
