"""The API's addresses for leads, activities, outcomes, and its documentation."""

from django.contrib.auth.decorators import login_required
from django.urls import path

from leadflow.leads import api

urlpatterns = [
    path("leads/", api.Leads.as_view(), name="leads"),
    path("leads/bulk/", api.LeadsBulk.as_view(), name="leads_bulk"),
    path("leads/<int:pk>/", api.OneLead.as_view(), name="lead"),
    path("leads/<int:pk>/timeline/", api.Timeline.as_view(), name="lead_timeline"),
    path("activities/", api.Activities.as_view(), name="activities"),
    path("outcomes/", api.Outcomes.as_view(), name="outcomes"),
    path("schema/", api.Schema.as_view(), name="schema"),
    path("docs/", login_required(api.Docs.as_view()), name="docs"),
]
