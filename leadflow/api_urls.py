"""The API's addresses, gathered from the rooms."""

from typing import Any

from django.urls import include, path

urlpatterns: list[Any] = [
    path("", include("leadflow.leads.api_urls")),
    path("", include("scoring.api_urls")),
    # Before handoff's own, whose last pattern takes every act.
    path("", include("feedback.api_urls")),
    path("", include("handoff.api_urls")),
]
