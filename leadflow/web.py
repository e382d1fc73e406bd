"""Small helpers that every room's views share: toasts, safe CSV cells, the query of the present page."""

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.defaults import page_not_found

if TYPE_CHECKING:
    from django_htmx.middleware import HtmxDetails

    from leadflow.accounts.models import User

# A spreadsheet runs what begins with one of these.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
AWAY = "The database is away for a moment; nothing was half done. Try again in some seconds."
BROKEN = "Something broke on our side; nothing was half done. Try again in a minute."
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?%?\Z")


class PageRequest(HttpRequest):
    """A request of somebody who is signed in, as the middleware leaves it. Only said, never made."""

    user: "User"
    htmx: "HtmxDetails"


def toast(
    text: str,
    *,
    detail: str = "",
    icon: str = "check",
    undo: str = "",
    link: tuple[str, str] | None = None,
    late: bool = False,
) -> SafeString:
    """A toast as an out-of-band fragment, to be added to the body of an htmx answer.

    `undo` is the URL that a POST takes the act back with (key Z), `link` is (url, words), `late` colours
    it as a failure and keeps it until closed.
    """
    context = {"text": text, "detail": detail, "icon": icon, "undo": undo, "link": link, "late": late}
    return render_to_string("_toast.html", context)


def fragment(
    request: "PageRequest", template: str, context: Mapping[str, Any], *, title: str
) -> HttpResponse:
    """A fragment for a page that asks by htmx; whoever opens its address gets it as a page called `title`."""
    if request.htmx:
        return render(request, template, dict(context))
    return render(request, "part.html", {**context, "part": template, "part_title": title})


def signed_out_toast() -> SafeString:
    """What stands on a page whose session ended; it stays where it is, and with it what was typed."""
    context = {
        "text": "You are logged out.",
        "detail": "What you typed is still here: log in in a new tab, then send it again.",
        "link": (reverse("accounts:login"), "Log in"),
        "late": True,
        "once": "signed-out",
        "new_tab": True,
    }
    return render_to_string("_toast_box.html", context)


def with_toast(response: HttpResponse, text: str, **options: Any) -> HttpResponse:
    """The same answer with a toast behind it; for htmx answers only. Options as in `toast`."""
    response.content += toast(text, **options).encode()
    return response


def safe_cell(value: Any) -> str:
    """A CSV cell that no spreadsheet takes for a formula; numbers stay numbers, None is empty."""
    text = "" if value is None else str(value)
    if text.startswith(_FORMULA) and not _NUMBER.match(text):
        return "'" + text
    return text


class _Echo:
    """A file that hands back what is written, so that csv can stream."""

    def write(self, value: str) -> str:
        return value


def csv_rows(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines of a CSV, with a byte order mark first (Excel reads UTF-8 only with one)."""
    yield "\ufeff"
    writer = csv.writer(_Echo())
    yield writer.writerow([safe_cell(cell) for cell in header])
    for row in rows:
        yield writer.writerow([safe_cell(cell) for cell in row])


def csv_response(name: str, header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> StreamingHttpResponse:
    """A streamed CSV download called `name` (without ending), every cell formula-safe."""
    response = StreamingHttpResponse(csv_rows(header, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def csv_text(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """The same CSV as one string, without the mark; for files that we write ourselves."""
    out = io.StringIO()
    for line in list(csv_rows(header, rows))[1:]:
        out.write(line)
    return out.getvalue()


def changed_query(query: QueryDict, changes: Mapping[str, Any]) -> str:
    """`?…` of the present page with some keys set, or dropped where the value is None or empty."""
    fresh = query.copy()
    for key, value in changes.items():
        if value in (None, ""):
            fresh.pop(key, None)
        elif isinstance(value, (list, tuple)):
            fresh.setlist(key, [str(item) for item in value])
        else:
            fresh[key] = str(value)
    return "?" + fresh.urlencode()


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """An address that is none: a page for people, a problem document for machines."""
    if not request.path.startswith("/api/"):
        return page_not_found(request, exception)
    return problem_document("There is nothing here by that name.", 404)


def broken(request: HttpRequest) -> HttpResponse:
    """What broke on our side: 503 and “try again” while the database is away, else 500."""
    away = isinstance(sys.exc_info()[1], OperationalError | InterfaceError)
    status = 503 if away else 500
    if request.path.startswith("/api/"):
        answer = problem_document(AWAY if away else BROKEN, status)
    else:
        answer = HttpResponse(render_to_string("500.html"), status=status)
    if away:
        answer["Retry-After"] = "5"
    return answer


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that is older than the session of its sender: said in words, on the page where it was typed."""
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(signed_out_toast(), status=403)
    return render(request, "403_csrf.html", status=403)


def problem_document(title: str, status: int) -> HttpResponse:
    """What went wrong, for machines: as every error of the API is told."""
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "errors": [{"path": "", "message": title}],
    }
    return JsonResponse(body, status=status, content_type="application/problem+json")
