"""The API of sales' answers and of the reports."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import (
    OpenApiParameter,
    extend_schema,
    extend_schema_serializer,
    extend_schema_view,
)
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from feedback import reports, verdicts
from feedback.models import Dispute
from feedback.pages_reports import DAYS
from feedback.reports.base import Report, Table, read_filters
from handoff.models import Handoff
from leadflow.accounts.api import actor_of, idempotent
from leadflow.errors import BadInput, Fault
from leadflow.web import csv_text


class AnswerIn(serializers.Serializer[Any]):
    """Why sales says no, and until when."""

    reason_key = serializers.CharField(max_length=20)
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=5000)
    date = serializers.DateField(required=False, allow_null=True, default=None)


class QualifyIn(serializers.Serializer[Any]):
    """What makes it an opportunity."""

    amount = serializers.DecimalField(14, 2, required=False, allow_null=True, default=None, min_value=0)
    need = serializers.CharField(required=False, allow_blank=True, default="", max_length=5000)
    date = serializers.DateField(required=False, allow_null=True, default=None)


class WinIn(serializers.Serializer[Any]):
    """What was won."""

    amount = serializers.DecimalField(14, 2, required=False, allow_null=True, default=None, min_value=0)


class UndoIn(serializers.Serializer[Any]):
    """Nothing is needed to take an act back."""


class DisputeIn(serializers.Serializer[Any]):
    """Why it was a good lead after all."""

    comment = serializers.CharField(max_length=5000)


class SettleIn(serializers.Serializer[Any]):
    """What the sales manager decided."""

    result = serializers.ChoiceField(["stands", "overturned"])
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=5000)


@extend_schema_serializer(component_name="AnsweredHandoff")
class HandoffOut(serializers.ModelSerializer[Handoff]):
    """A handoff after an act."""

    class Meta:
        model = Handoff
        fields = (
            "id",
            "lead_id",
            "state",
            "kind",
            "owner_id",
            "reason_key",
            "note",
            "amount",
            "closed_at",
            "changed_at",
        )


class DisputeOut(serializers.ModelSerializer[Dispute]):
    """A dispute and what came of it."""

    class Meta:
        model = Dispute
        fields = (
            "handoff_id",
            "comment",
            "at",
            "due_at",
            "settled_at",
            "result",
            "settle_comment",
            "new_handoff_id",
        )


class _Act(APIView):
    """One act on a handoff: reads its body, calls `act`, shows what became of it."""

    scopes = {"POST": "handoffs:write"}
    body: type[serializers.Serializer[Any]]
    shown: type[serializers.ModelSerializer[Any]] = HandoffOut
    # (handoff id, actor, what the body says) → the row to show.
    act: Callable[..., Any]

    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Do it once; the same Idempotency-Key gets the same answer."""
        if not isinstance(request.data, dict):
            raise BadInput("The body must be a JSON object.", [Fault("", "Send an object.")])
        body = self.body(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(self.shown(self.act(pk, actor_of(request), **body.validated_data)).data)


def _view(
    name: str, body_of: type[serializers.Serializer[Any]], call: Any, shown_as: Any = HandoffOut
) -> Any:
    """A view class for one act; `call(handoff_id, actor, **said)` carries it out."""

    class View(_Act):
        body = body_of
        shown = shown_as
        act = staticmethod(call)

    View.__name__ = f"{name.capitalize()}Handoff"
    View.__doc__ = call.__doc__
    words = extend_schema(
        operation_id=f"handoffs_{name}", request=body_of, responses=shown_as, description=call.__doc__
    )
    return extend_schema_view(post=words)(View)


def _settle(handoff_id: int, actor: Any, *, result: str, comment: str) -> Dispute:
    """The sales manager decides about a dispute: the answer stands, or the lead is offered again."""
    return verdicts.settle(handoff_id, actor, overturned=result == "overturned", comment=comment)


RejectHandoff = _view("reject", AnswerIn, verdicts.reject)
ReturnHandoff = _view("return", AnswerIn, verdicts.return_)
LoseHandoff = _view("lose", AnswerIn, verdicts.lose)
QualifyHandoff = _view("qualify", QualifyIn, verdicts.qualify)
WinHandoff = _view("win", WinIn, verdicts.win)
UndoHandoff = _view("undo", UndoIn, verdicts.undo)
DisputeHandoff = _view("dispute", DisputeIn, verdicts.dispute, DisputeOut)
SettleHandoff = _view("settle", SettleIn, _settle, DisputeOut)


# Reports ---------------------------------------------------------------------------------


class CsvRenderer(BaseRenderer):
    """One table of a report as CSV; whatever is no report (an error) stays JSON."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> str | bytes:
        """The lines of the table, formula-safe."""
        if not isinstance(data, dict) or "tables" not in data:
            return bytes(JSONRenderer().render(data))
        table = data["tables"][0]
        return csv_text(table["columns"], [list(row.values()) for row in table["rows"]])


class ReportView(APIView):
    """A report: its figures in words and tables."""

    scopes = {"GET": "reports:read"}
    renderer_classes = [JSONRenderer, CsvRenderer]

    @extend_schema(
        operation_id="reports_show",
        parameters=[
            OpenApiParameter("from", str, description="First day, as 2026-11-01; default: four weeks back."),
            OpenApiParameter("to", str, description="Last day; default: today."),
            OpenApiParameter("team", int, description="Only this team."),
            OpenApiParameter("source", str, description="Only leads with this first source."),
            OpenApiParameter("by", str, description="Answers only: source, campaign or rep."),
            OpenApiParameter("table", str, description="With format=csv: which table; default: the first."),
        ],
        responses={(200, "application/json"): dict, (200, "text/csv"): str},
    )
    def get(self, request: Request, name: str) -> Response:
        """sla (promises kept), conversion or answers, with the period before; JSON, or one table as CSV."""
        module = reports.named(name)
        report: Report = module.build(read_filters(request.query_params.dict(), days=DAYS.get(name, 28)))
        tables = report.tables
        if isinstance(request.accepted_renderer, CsvRenderer):
            tables = [report.table(request.query_params.get("table", ""))]
        return Response(
            {
                "name": report.name,
                "title": report.title,
                "from": report.filters.start.isoformat(),
                "to": report.filters.end.isoformat(),
                "zone": report.filters.zone,
                "at": report.filters.at.isoformat(),
                "population": report.population,
                "definition": report.definition,
                "summary": "".join(words for words, _ in report.say),
                "tables": [_table(table) for table in tables],
            }
        )


def _table(table: Table) -> dict[str, Any]:
    return {"key": table.key, "title": table.title, "columns": list(table.columns), "rows": table.records}
