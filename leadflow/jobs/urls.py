"""Addresses of long work."""

from django.urls import path

from leadflow.jobs import views

app_name = "jobs"
urlpatterns = [
    path("jobs/<int:pk>/", views.job, name="job"),
    path("jobs/<int:pk>/stop/", views.stop, name="stop"),
    path("jobs/<int:pk>/left-out.csv", views.left_out, name="left_out"),
]
