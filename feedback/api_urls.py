"""API addresses of sales' answers and the reports; they stand before handoff's general ones."""

from django.urls import path

from feedback import api

urlpatterns = [
    path("handoffs/<int:pk>/reject/", api.RejectHandoff.as_view(), name="handoff-reject"),
    path("handoffs/<int:pk>/return/", api.ReturnHandoff.as_view(), name="handoff-return"),
    path("handoffs/<int:pk>/qualify/", api.QualifyHandoff.as_view(), name="handoff-qualify"),
    path("handoffs/<int:pk>/win/", api.WinHandoff.as_view(), name="handoff-win"),
    path("handoffs/<int:pk>/lose/", api.LoseHandoff.as_view(), name="handoff-lose"),
    path("handoffs/<int:pk>/undo/", api.UndoHandoff.as_view(), name="handoff-undo"),
    path("handoffs/<int:pk>/dispute/", api.DisputeHandoff.as_view(), name="handoff-dispute"),
    path("handoffs/<int:pk>/settle/", api.SettleHandoff.as_view(), name="handoff-settle"),
    path("reports/<slug:name>/", api.ReportView.as_view(), name="report"),
]
