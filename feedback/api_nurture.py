"""The API of nurture: to whom sales is talking, and the audiences, for tools that send mail of their own."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from feedback import audiences, talking
from feedback.models import StepRun
from handoff.models import Handoff, State
from leadflow import clock
from leadflow.errors import BadInput, Fault, NotVisible
from leadflow.web import csv_text

PAGE, PAGE_LIMIT = 100, 1_000
BIGGEST = 2**63 - 1
_PAGING = [
    OpenApiParameter("limit", int, description=f"Rows per page, at most {PAGE_LIMIT}"),
    OpenApiParameter("cursor", str, description="From `next` of the page before"),
    OpenApiParameter("format", str, description="csv for a file; default: JSON"),
]


class TalkingOut(serializers.Serializer[Any]):
    """A lead to whom sales is talking: marketing does not write to it now."""

    lead_id = serializers.IntegerField()
    email = serializers.CharField(allow_blank=True)
    name = serializers.CharField(allow_blank=True)
    company = serializers.CharField(allow_blank=True)
    talks = serializers.CharField(help_text="who of sales has it, or the pool")
    state = serializers.ChoiceField(State.choices)
    since = serializers.DateTimeField()
    handoff_id = serializers.IntegerField()

    def get_fields(self) -> dict[str, Any]:
        """The name on the wire is `with`, which Python keeps for itself."""
        return {"with" if name == "talks" else name: field for name, field in super().get_fields().items()}


class AudienceOut(serializers.Serializer[Any]):
    """An audience that steps of tracks made."""

    name = serializers.CharField()
    size = serializers.IntegerField(help_text="how many are on it now")
    ever = serializers.IntegerField(help_text="how many were ever put on it")
    newest = serializers.DateTimeField(allow_null=True)


class MemberOut(serializers.Serializer[Any]):
    """Somebody on an audience."""

    lead_id = serializers.IntegerField()
    email = serializers.CharField(allow_blank=True)
    phone = serializers.CharField(allow_blank=True)
    name = serializers.CharField(allow_blank=True)
    title = serializers.CharField(allow_blank=True)
    company = serializers.CharField(allow_blank=True)
    country = serializers.CharField(allow_blank=True)
    track = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)


class CsvRenderer(BaseRenderer):
    """The rows of a page as CSV, formula-safe; whatever is no page (an error) stays JSON."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> str | bytes:
        """One line for each row."""
        if not isinstance(data, dict) or "results" not in data:
            return bytes(JSONRenderer().render(data))
        rows = data["results"]
        names = list(rows[0]) if rows else []
        return csv_text(names, [list(row.values()) for row in rows])


class _List(APIView):
    scopes = {"GET": "leads:read"}
    renderer_classes = [JSONRenderer, CsvRenderer]


class SalesIsTalking(_List):
    """Whom marketing must not write to now."""

    @extend_schema(
        operation_id="sales_is_talking",
        parameters=[
            OpenApiParameter("since", str, description="Only who came to sales after this instant"),
            *_PAGING,
        ],
        responses=TalkingOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """Leads from their offer to sales until sales' answer, in the order of their handoffs."""
        asked = request.query_params.get("since", "")
        since = parse_datetime(asked.replace(" ", "+")) if asked else None
        if asked and (since is None or since.tzinfo is None):
            raise BadInput("The instant cannot be read.", [Fault("since", "As 2026-11-24T09:00:00+01:00.")])
        found = talking.changed_since(talking.with_sales(), since)
        rows, more = _page(request, found)
        return Response({"results": [_talking(one) for one in rows], "next": more})


def _talking(one: Handoff) -> dict[str, Any]:
    lead = one.lead
    return {
        "lead_id": lead.pk,
        "email": lead.email,
        "name": lead.name,
        "company": lead.company.name if lead.company else "",
        "with": talking.who(one),
        "state": one.state,
        "since": one.first_offered_at,
        "handoff_id": one.pk,
    }


class Audiences(_List):
    """The audiences."""

    @extend_schema(operation_id="audiences_list", responses=AudienceOut(many=True))
    def get(self, request: Request) -> Response:
        """Each with how many are on it now."""
        rows = AudienceOut(audiences.all_of_them(clock.now()), many=True).data
        return Response({"results": rows, "next": None})


class Members(_List):
    """Who is on an audience."""

    @extend_schema(operation_id="audiences_members", parameters=_PAGING, responses=MemberOut(many=True))
    def get(self, request: Request, name: str) -> Response:
        """Those on it now; off it are leads with sales, customers, and who wants no mail."""
        if name not in {one.name for one in audiences.all_of_them(clock.now())}:
            raise NotVisible("There is no such audience.")
        rows, more = _page(request, audiences.members(name, clock.now()))
        return Response({"results": [_member(one) for one in rows], "next": more})


def _member(one: StepRun) -> dict[str, Any]:
    lead = one.enrolment.lead
    return {
        "lead_id": lead.pk,
        "email": lead.email,
        "phone": lead.phone,
        "name": lead.name,
        "title": lead.title,
        "company": lead.company.name if lead.company else "",
        "country": lead.country,
        "track": one.enrolment.track,
        "since": one.done_at,
    }


def _page(request: Request, rows: QuerySet[Any]) -> tuple[Sequence[Any], str | None]:
    """One page in the order of ids, and the address of the next."""
    asked = request.query_params
    limit = _number(asked.get("limit") or str(PAGE), "limit", PAGE_LIMIT)
    if cursor := asked.get("cursor"):
        rows = rows.filter(pk__gt=_number(cursor, "cursor"))
    found = list(rows.order_by("pk")[: limit + 1])
    if len(found) <= limit:
        return found, None
    query = {**{k: v for k, v in asked.items() if k != "cursor"}, "cursor": found[limit - 1].pk}
    return found[:limit], request.build_absolute_uri(f"{request.path}?{urlencode(query)}")


def _number(asked: str, name: str, most: int = BIGGEST) -> int:
    if not (asked.isascii() and asked.isdigit() and len(asked) < 20 and 1 <= int(asked) <= most):
        raise BadInput(f"The {name} cannot be read.", [Fault(name, f"Write a number from 1 to {most}.")])
    return int(asked)
