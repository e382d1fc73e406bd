"""How long ago somebody gave their password in this browser: for acts that want to know it is really them."""

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest

from leadflow import clock

KEY = "signed_in_at"


def mark(request: HttpRequest) -> None:
    """Note that the password was given just now."""
    request.session[KEY] = clock.now().isoformat()


def signed_in_within(request: HttpRequest, span: timedelta) -> bool:
    """Whether the password was given in this session at most `span` ago."""
    raw: Any = request.session.get(KEY, "")
    try:
        at = datetime.fromisoformat(raw)
    except (TypeError, ValueError):
        return False
    return timedelta(0) <= clock.now() - at <= span
