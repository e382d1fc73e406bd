"""The user's time zone, and errors told in words."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from leadflow.errors import BadInput, Conflict, Forbidden, NotVisible
from leadflow.web import problem_document, signed_out_toast

Handler = Callable[[HttpRequest], HttpResponse]
ZERO_BYTE = (
    "There is a character in it that no text has (a zero byte); a copy from another program may bring one. "
    "Type it by hand and try again."
)
STATUS = {BadInput: 400, Forbidden: 403, NotVisible: 404, Conflict: 409}


class SignedInMiddleware(LoginRequiredMiddleware):
    """Signed in is the default of the whole house. A part of a page that is asked for after the session ended
    is answered by a toast: the page stays, and with it what was typed."""

    def process_view(
        self, request: HttpRequest, view_func: Callable[..., Any], view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        answer = super().process_view(request, view_func, view_args, view_kwargs)
        if answer is not None and request.headers.get("HX-Request") == "true":
            return HttpResponse(signed_out_toast(), status=401)
        return answer


class UserZoneMiddleware:
    """Show every time in the zone of the person who reads it."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        zone = user.zone if user.is_authenticated else "UTC"
        with timezone.override(ZoneInfo(zone)):
            return self.get_response(request)


class ErrorsInWordsMiddleware:
    """A page's BadInput, Forbidden, NotVisible and Conflict become a page or a toast, never a 500."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # PostgreSQL has no text with a zero byte: such an address is nobody's, whatever page it is for.
        if "%00" in request.META.get("QUERY_STRING", "") or "\x00" in request.path:
            return _in_words(request, BadInput(ZERO_BYTE), 400)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, ValueError) and "NUL (0x00)" in str(exception):
            # It came in a form, past whatever looks at its fields.
            exception = BadInput(ZERO_BYTE)
        status = STATUS.get(type(exception))
        return None if status is None else _in_words(request, exception, status)


def _in_words(request: HttpRequest, exception: Exception, status: int) -> HttpResponse:
    """A page, a toast for htmx, a problem document for machines."""
    if request.path.startswith("/api/"):
        return problem_document(str(exception), status)
    template = "_error_toast.html" if request.headers.get("HX-Request") == "true" else "error.html"
    context = {"error": exception, "status": status, "back": _came_from(request)}
    return render(request, template, context, status=status)


def _came_from(request: HttpRequest) -> str:
    """The page of ours that led here, so that a wrong choice can be chosen again; empty: none did."""
    page = request.headers.get("Referer", "")
    ours = url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=request.is_secure())
    return page if ours and page != request.build_absolute_uri() else ""
