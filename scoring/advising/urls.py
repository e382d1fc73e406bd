"""Addresses of the advice; `scoring.urls` lists them."""

from django.urls import path

from scoring.advising import views

urlpatterns = [
    path("agreement/advice/", views.page, name="advice"),
    path("agreement/advice/look/", views.look, name="advice_look"),
    path("agreement/advice/<int:pk>/leads/", views.leads, name="advice_leads"),
    path("agreement/advice/<int:pk>/take/", views.take, name="advice_take"),
    path("agreement/advice/<int:pk>/dismiss/", views.dismiss, name="advice_dismiss"),
]
