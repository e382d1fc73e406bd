"""Addresses of the agreement."""

from django.urls import include, path

from scoring.advising.urls import urlpatterns as advising
from scoring.backtesting.urls import urlpatterns as backtesting
from scoring.trying.urls import urlpatterns as trying
from scoring.views import acts, edit, files, helping, history, left_out, page, paper, signing
from scoring.whatif.urls import urlpatterns as whatif

app_name = "scoring"

urlpatterns = [
    path("agreement/", page.page, name="agreement"),
    path("agreement/start/", page.start, name="start"),
    path("agreement/discard/", page.discard, name="discard"),
    path("agreement/propose/", signing.propose, name="propose"),
    path("agreement/sign-it/", signing.sign, name="sign"),
    path("agreement/decline/", signing.decline, name="decline"),
    path("agreement/withdraw/", signing.withdraw, name="withdraw"),
    path("agreement/by-link/<str:secret>/", signing.by_link, name="by_link"),
    path("agreement/load/", signing.loads, name="load"),
    path("agreement/compare/", history.compare, name="compare"),
    path("agreement/restore/", history.restore, name="restore"),
    path("agreement/print/", paper.printed, name="print"),
    path("agreement/print.pdf", paper.pdf, name="pdf"),
    path("agreement/left-out/", left_out.left_out, name="left_out"),
    path("agreement/here/", helping.here, name="here"),
    path("agreement/live/<slug:group>/", helping.live, name="live"),
    path("agreement/matching/<slug:group>/", helping.matching, name="matching"),
    path("agreement/order/<slug:group>/", acts.order, name="order"),
    path("agreement/values/", helping.values, name="values"),
    path("agreement/check/<slug:kind>/<str:key>/", helping.check, name="check"),
    path("agreement/download/", files.download, name="download"),
    path("agreement/file/", files.load, name="file"),
    path("agreement/file/take/", files.take, name="file_take"),
    path("agreement/undo/", acts.undo, name="undo"),
    path("agreement/redo/", acts.redo, name="redo"),
    path("agreement/part/<slug:kind>/<str:key>/", edit.edit, name="edit"),
    path("agreement/part/<slug:kind>/<str:key>/<slug:do>/", acts.act, name="act"),
    *backtesting,
    *advising,
    *whatif,
    *trying,
    path("agreement/workshops/", include("scoring.workshops.urls")),
    path("agreement/<slug:tab>/", page.page, name="tab"),
]
