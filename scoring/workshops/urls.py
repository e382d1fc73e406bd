"""Addresses of the workshops, below the agreement."""

from django.urls import path

from scoring.workshops import views

urlpatterns = [
    path("", views.workshops, name="workshops"),
    path("new/", views.new, name="workshop_new"),
    path("pool/", views.pool, name="workshop_pool"),
    path("<int:pk>/", views.workshop, name="workshop"),
    path("<int:pk>/cards/<int:n>/", views.card, name="workshop_card"),
    path("<int:pk>/finish/", views.finish, name="workshop_finish"),
    path("<int:pk>/leave/", views.leave, name="workshop_leave"),
    path("<int:pk>/people/", views.add, name="workshop_add"),
    path("<int:pk>/close/", views.close, name="workshop_close"),
    path("<int:pk>/result/", views.result, name="workshop_result"),
    path("<int:pk>/suggest/", views.suggest, name="workshop_suggest"),
]
