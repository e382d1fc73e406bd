"""Addresses of "try a lead"; `scoring.urls` lists them."""

from django.urls import path

from scoring.trying import views

urlpatterns = [
    path("agreement/try/", views.page, name="try"),
]
