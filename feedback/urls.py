"""Addresses of sales' answers, the marketer's screens and the reports."""

from django.urls import path

from feedback import acts, pages, pages_mqls, pages_reports

app_name = "feedback"
urlpatterns = [
    path("handoffs/<int:pk>/reject/", acts.reject, name="reject"),
    path("handoffs/<int:pk>/return/", acts.return_, name="return"),
    path("handoffs/<int:pk>/qualify/", acts.qualify, name="qualify"),
    path("handoffs/<int:pk>/win/", acts.win, name="win"),
    path("handoffs/<int:pk>/lose/", acts.lose, name="lose"),
    path("handoffs/<int:pk>/undo/", acts.undo, name="undo"),
    path("handoffs/undo/", acts.undo_all, name="undo-all"),
    path("handoffs/<int:pk>/dispute/", acts.dispute, name="dispute"),
    path("handoffs/<int:pk>/settle/", acts.settle, name="settle"),
    path("leads/<int:pk>/outcome/", acts.outcome, name="outcome"),
    path("leads/<int:pk>/ask/", pages_mqls.ask, name="ask"),
    path("mqls/", pages_mqls.page, name="mqls"),
    path("mqls/tasks/", pages_mqls.task_page, name="tasks"),
    path("mqls/tasks/<int:pk>/", pages_mqls.task_done, name="task-done"),
    path("mqls/<int:pk>/<slug:act>/", pages_mqls.form, name="mql-form"),
    path("mqls/<int:pk>/<slug:act>/do/", pages_mqls.do, name="mql-do"),
    path("feedback/", pages.feedback, name="feedback"),
    path("feedback/answers/<int:pk>/", pages.reply_form, name="reply-form"),
    path("feedback/answers/<int:pk>/send/", pages.reply, name="reply"),
    path("feedback/dispute/<int:pk>/", pages.dispute_form, name="dispute-form"),
    path("feedback/replies/<int:pk>/seen/", pages.put_away, name="put-away"),
    path("stop/<str:token>/", pages.stop, name="stop"),
    path("reports/", pages_reports.index, name="reports"),
    path("reports/cracks/", pages_reports.cracks, name="cracks"),
    path("reports/<slug:name>/", pages_reports.show, name="report"),
    path("reports/<slug:name>/leads/", pages_reports.leads, name="report-leads"),
]
