"""API addresses of handoffs; feedback's closed-loop acts stand before these."""

from django.urls import path

from handoff import api

urlpatterns = [
    path("handoffs/", api.Handoffs.as_view(), name="handoffs"),
    path("handoffs/<int:pk>/", api.OneHandoff.as_view(), name="handoff"),
    path("handoffs/<int:pk>/<slug:action>/", api.ActOnHandoff.as_view(), name="handoff-act"),
]
