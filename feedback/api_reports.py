"""The API of the reports: which there are, and each as JSON, or one of its tables as CSV."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from feedback import reports
from feedback.reports.base import Figure, Report, Table, read_filters
from feedback.reports.once import asking_once
from leadflow.web import csv_text


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
        rows = [*table["rows"], *([table["total"]] if table["total"] else [])]
        return csv_text(table["columns"], [list(row.values()) for row in rows])


class ReportsView(APIView):
    """Which reports there are."""

    scopes = {"GET": "reports:read"}

    @extend_schema(operation_id="reports_list", responses={200: list[dict[str, str]]})
    def get(self, request: Request) -> Response:
        """Name, title and the question that each report answers."""
        return Response(
            [
                {
                    "name": name,
                    "title": getattr(one, "TITLE", "Sales' answers"),
                    "asks": getattr(one, "ASKS", "What sales says about the leads."),
                    "url": request.build_absolute_uri(f"/api/v1/reports/{name}/"),
                }
                for name, one in reports.ALL.items()
            ]
        )


class ReportView(APIView):
    """A report: its figures in words and tables."""

    scopes = {"GET": "reports:read"}
    renderer_classes = [JSONRenderer, CsvRenderer]

    @extend_schema(
        operation_id="reports_show",
        parameters=[
            OpenApiParameter(
                "from", str, description="First day, as 2026-11-01; default: four weeks or a quarter back."
            ),
            OpenApiParameter("to", str, description="Last day; default: today."),
            OpenApiParameter("team", int, description="Only this team."),
            OpenApiParameter("source", str, description="Only leads with this first source."),
            OpenApiParameter("campaign", str, description="Only leads with this first campaign (its code)."),
            OpenApiParameter("persona", str, description="Only leads of this persona (its key)."),
            OpenApiParameter("version", int, description="Only under this agreement (its number)."),
            OpenApiParameter("by", str, description="Answers only: source, campaign or rep."),
            OpenApiParameter("table", str, description="With format=csv: which table; default: the first."),
        ],
        responses={(200, "application/json"): dict, (200, "text/csv"): str},
    )
    @asking_once()
    def get(self, request: Request, name: str) -> Response:
        """One report with the period before; each table's rows by column, and `total`, its last line."""
        module = reports.named(name)
        filters = read_filters(request.query_params.dict(), days=reports.days(name))
        report: Report = module.build(filters)
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
                "tables": [_table(report, table) for table in tables],
            }
        )


def _table(report: Report, table: Table) -> dict[str, Any]:
    return {
        "key": table.key,
        "title": table.title,
        "columns": list(table.columns),
        "rows": table.records,
        "total": _record(table, table.foot) if table.foot else None,
        "leads": [
            {
                column: report.link(one.cell)
                for column, one in zip(table.columns, row, strict=True)
                if one.cell
            }
            for row in table.rows
        ],
    }


def _record(table: Table, row: list[Figure]) -> dict[str, Any]:
    return {column: figure.value for column, figure in zip(table.columns, row, strict=True)}
