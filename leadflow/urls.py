"""Every address of the product. Each room lists its own; the order here is that of the navigation."""

from django.urls import include, path

from leadflow import api_urls, health

handler404 = "leadflow.web.not_found"
handler500 = "leadflow.web.broken"

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    # Before the rooms: what trackers post a hundred times a second is not held against every page first.
    path("api/v1/", include((api_urls.urlpatterns, "api"))),
    path("", include("leadflow.accounts.urls")),
    path("", include("leadflow.leads.urls")),
    path("", include("leadflow.jobs.urls")),
    path("", include("leadflow.pages.urls")),
    path("", include("handoff.urls")),
    path("", include("scoring.urls")),
    path("", include("feedback.urls")),
]
