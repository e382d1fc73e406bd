"""Addresses of the queue, its acts, the team board and the bell."""

from django.urls import path

from handoff import bell, board, desktop, shelf, views
from handoff.routes.urls import urlpatterns as routes

app_name = "handoff"
urlpatterns = [
    path("queue/", views.queue, name="queue"),
    path("queue/fresh/", views.fresh, name="fresh"),
    path("queue/poll/", views.poll, name="poll"),
    path("queue/filter/", views.narrow, name="filter"),
    path("queue/accept/", views.accept_all, name="accept_all"),
    path("queue/views/", shelf.keep, name="keep"),
    path("queue/views/<int:pk>/", shelf.view, name="view"),
    path("queue/calls/", shelf.sheet, name="calls"),
    path("queue/calls/<int:pk>/", shelf.called, name="calls_done"),
    path("queue/give/", shelf.give, name="give"),
    path("queue/waiting/", views.waiting, name="waiting"),
    path("queue/own/", views.own, name="own"),
    path("queue/away/", views.away, name="away"),
    path("queue/board/", board.board, name="board"),
    path("queue/board/give/", board.give, name="board_give"),
    path("queue/board/<int:pk>/calls/", board.called, name="board_called"),
    path("queue/board/<int:pk>/away/", board.away, name="board_away"),
    path("queue/<int:pk>/", views.one, name="one"),
    path("queue/<int:pk>/panel/", views.side, name="panel"),
    path("queue/<int:pk>/accept/", views.accept, name="accept"),
    path("queue/<int:pk>/claim/", views.claim, name="claim"),
    path("queue/<int:pk>/contact/", views.contact, name="contact"),
    path("queue/<int:pk>/snooze/", views.snooze, name="snooze"),
    path("queue/<int:pk>/wake/", views.wake, name="wake"),
    path("queue/<int:pk>/reassign/", views.reassign, name="reassign"),
    path("queue/<int:pk>/withdraw/", views.withdraw, name="withdraw"),
    *routes,
    path("notices/", bell.bell, name="notices"),
    path("notices/news/", desktop.news, name="notices_news"),
    path("notices/read/", bell.read, name="notices_read"),
]
