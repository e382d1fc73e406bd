"""A chart's card: the picture where something can be drawn, else the table in its place."""

from dataclasses import replace

from django.template.loader import render_to_string

from leadflow.charts import Cell, Chart, Series

SHARES = Chart(
    id="shares",
    title="Of 100 leads",
    kind="columns",
    labels=["A", "B"],
    series=[Series("customers", [None, 12.0])],
    says="The numbers are in the table.",
    columns=["Grade", "Of 100"],
    rows=[[Cell("A"), Cell("too few")], [Cell("B"), Cell("12")]],
)


def test_where_nothing_can_be_drawn_the_table_stands_in_its_place() -> None:
    page = render_to_string("_chart.html", {"chart": SHARES})
    assert 'data-chart="shares-data"' in page
    assert 'id="shares-table" class="lf-tablewrap lf-bleed" hidden' in page
    empty = render_to_string(
        "_chart.html", {"chart": replace(SHARES, series=[Series("customers", [None, None])])}
    )
    assert "data-chart=" not in empty
    assert "data-chart-toggle" not in empty
    assert 'id="shares-table" class="lf-tablewrap lf-bleed" tabindex' in empty
    assert "too few" in empty
