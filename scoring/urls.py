"""Addresses of the agreement."""

from django.urls import path

from scoring import views

app_name = "scoring"

urlpatterns = [
    path("agreement/", views.page, name="agreement"),
    path("agreement/start/", views.start, name="start"),
    path("agreement/discard/", views.discard, name="discard"),
    path("agreement/propose/", views.propose, name="propose"),
    path("agreement/sign-it/", views.sign, name="sign"),
    path("agreement/decline/", views.decline, name="decline"),
    path("agreement/withdraw/", views.withdraw, name="withdraw"),
    path("agreement/print/", views.printed, name="print"),
    path("agreement/moves/", views.moves, name="moves"),
    path("agreement/live/<slug:group>/", views.live, name="live"),
    path("agreement/order/<slug:group>/", views.order, name="order"),
    path("agreement/part/<slug:kind>/<str:key>/", views.edit, name="edit"),
    path("agreement/part/<slug:kind>/<str:key>/<slug:do>/", views.act, name="act"),
    path("agreement/<slug:tab>/", views.page, name="tab"),
]
