"""What every page's frame needs."""

from typing import Any

from django.http import HttpRequest


def frame(request: HttpRequest) -> dict[str, Any]:
    """Counts and notes of the navigation; a fixed number of queries."""
    return {}
