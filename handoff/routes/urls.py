"""Addresses of the routing pages."""

from django.urls import path

from handoff.routes import views

urlpatterns = [
    path("queue/routing/", views.routes, name="routes"),
    path("queue/routing/begin/", views.begin, name="routes_begin"),
    path("queue/routing/try/", views.dry_run, name="routes_try"),
    path("queue/routing/try-it/", views.try_it, name="route_try"),
    path("queue/routing/counts/", views.counts, name="route_counts"),
    path("queue/routing/order/", views.order, name="route_order"),
    path("queue/routing/rep/<int:pk>/", views.room, name="route_room"),
    path("queue/routing/<str:key>/", views.edit, name="route_edit"),
    path("queue/routing/<int:pk>/<slug:do>/", views.act, name="route_act"),
]
