"""API addresses of sales' answers and the reports; they stand before handoff's general ones."""

from django.urls import path

from feedback import api, api_loop, api_nurture, api_reports

urlpatterns = [
    path("handoffs/<int:pk>/reject/", api.RejectHandoff.as_view(), name="handoff-reject"),
    path("handoffs/<int:pk>/return/", api.ReturnHandoff.as_view(), name="handoff-return"),
    path("handoffs/<int:pk>/qualify/", api.QualifyHandoff.as_view(), name="handoff-qualify"),
    path("handoffs/<int:pk>/win/", api.WinHandoff.as_view(), name="handoff-win"),
    path("handoffs/<int:pk>/lose/", api.LoseHandoff.as_view(), name="handoff-lose"),
    path("handoffs/<int:pk>/undo/", api.UndoHandoff.as_view(), name="handoff-undo"),
    path("handoffs/<int:pk>/dispute/", api.DisputeHandoff.as_view(), name="handoff-dispute"),
    path("handoffs/<int:pk>/settle/", api.SettleHandoff.as_view(), name="handoff-settle"),
    path("handoffs/<int:pk>/send/", api_loop.SendPiece.as_view(), name="handoff-send"),
    path("questions/", api_loop.Questions.as_view(), name="questions"),
    path("questions/<int:pk>/", api_loop.OneQuestion.as_view(), name="question"),
    path("questions/<int:pk>/answer/", api_loop.AnswerQuestion.as_view(), name="question-answer"),
    path("content/", api_loop.Pieces.as_view(), name="content"),
    path("content/<str:key>/", api_loop.OnePiece.as_view(), name="piece"),
    path("campaigns/", api_loop.Campaigns.as_view(), name="campaigns"),
    path("campaigns/<str:code>/", api_loop.OneCampaign.as_view(), name="campaign"),
    path("customers/", api_loop.Customers.as_view(), name="customers"),
    path("customers/<int:pk>/", api_loop.OneCustomer.as_view(), name="customer"),
    path("outcomes/unmatched/", api_loop.Strays.as_view(), name="outcomes-unmatched"),
    path("outcomes/unmatched/<int:pk>/match/", api_loop.MatchStray.as_view(), name="outcomes-match"),
    path("sales-is-talking/", api_nurture.SalesIsTalking.as_view(), name="sales-is-talking"),
    path("audiences/", api_nurture.Audiences.as_view(), name="audiences"),
    path("audiences/<str:name>/", api_nurture.Members.as_view(), name="audience"),
    path("reports/", api_reports.ReportsView.as_view(), name="reports"),
    path("reports/<slug:name>/", api_reports.ReportView.as_view(), name="report"),
]
