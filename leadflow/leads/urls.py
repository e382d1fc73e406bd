"""Addresses of the imports."""

from django.urls import path

from leadflow.leads import views

app_name = "leads"
urlpatterns = [
    path("leads/import/", views.imports, name="imports"),
    path("leads/import/<int:pk>/", views.import_run, name="import"),
    path("leads/import/<int:pk>/start/", views.import_start, name="import_start"),
    path("leads/import/<int:pk>/rejects.csv", views.import_rejects, name="import_rejects"),
]
