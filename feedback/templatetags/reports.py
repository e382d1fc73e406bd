"""Cells of report tables: a figure, a link to its leads, a small word below."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from feedback.reports.base import Figure, Report, Table

register = template.Library()


@register.simple_tag
def figure_cell(report: Report, figure: Figure, first: bool) -> SafeString:
    """One `<td>`; the first of a row names it (`<th scope=row>`)."""
    href = figure.href or report.link(figure.cell)
    inner = (
        format_html('<a href="{}">{}</a>', href, figure.words) if href else format_html("{}", figure.words)
    )
    if figure.small:
        inner = format_html('{}<br><span class="s mute">{}</span>', inner, figure.small)
    if first:
        return format_html("<td>{}</td>", inner)
    return format_html('<td class="r {}">{}</td>', figure.tone, inner)


@register.simple_tag
def table_csv(report: Report, table: Table) -> str:
    """The address of a table as CSV."""
    return report.csv(table.key)


@register.simple_tag
def report_say(report: Report) -> SafeString:
    """The sentence of a report, each figure of it a link."""
    pieces = SafeString("")
    for words, cell in report.say:
        link = report.link(cell)
        pieces += format_html('<a href="{}">{}</a>', link, words) if link else format_html("{}", words)
    return pieces
