"""Addresses of "see who moves"; `scoring.urls` lists them."""

from django.urls import path

from scoring.whatif import views

urlpatterns = [
    path("agreement/moves/", views.page, name="moves"),
    path("agreement/moves/state/", views.state, name="moves_state"),
    path("agreement/moves/leads/", views.leads, name="moves_leads"),
    path("agreement/moves/table/", views.table, name="moves_table"),
    path("agreement/moves/bar/", views.put_bar, name="moves_bar"),
]
