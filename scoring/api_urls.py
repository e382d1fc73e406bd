"""The API's addresses of the agreement and its scores."""

from django.urls import path

from scoring import api

urlpatterns = [
    path("leads/<int:pk>/score/", api.Score.as_view(), name="lead_score"),
]
