"""The user's time zone, and errors told in words."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from leadflow.errors import BadInput, Conflict, Forbidden, NotVisible

Handler = Callable[[HttpRequest], HttpResponse]
STATUS = {BadInput: 400, Forbidden: 403, NotVisible: 404, Conflict: 409}


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
            fault = BadInput("There is a zero byte in the address.")
            return render(request, "error.html", {"error": fault, "status": 400}, status=400)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        status = STATUS.get(type(exception))
        if status is None:
            return None
        template = "_error_toast.html" if getattr(request, "htmx", False) else "error.html"
        return render(request, template, {"error": exception, "status": status}, status=status)
