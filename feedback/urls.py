"""Addresses of sales' answers, the marketer's screens and the reports."""

from django.urls import path

from feedback import acts, pages, pages_mqls, pages_reports
from feedback.campaigns import pages as campaigns
from feedback.content import pages as content
from feedback.customers import pages as customers
from feedback.questions import pages as questions

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
    path("feedback/questions/", questions.questions, name="questions"),
    path("feedback/questions/like/", questions.like, name="questions-like"),
    path("feedback/questions/<int:pk>/", questions.question, name="question"),
    path("feedback/questions/<int:pk>/answer/", questions.answer, name="question-answer"),
    path("feedback/questions/<int:pk>/want/", questions.want, name="question-want"),
    path("feedback/questions/<int:pk>/join/", questions.join, name="question-join"),
    path("feedback/questions/<int:pk>/part/", questions.part, name="question-part"),
    path("leads/<int:pk>/questions/", questions.of_lead, name="lead-questions"),
    path("leads/<int:pk>/loop/", questions.loop, name="lead-loop"),
    path("handoffs/<int:pk>/send/", questions.send, name="send"),
    path("feedback/content/", content.pieces, name="pieces"),
    path("feedback/content/new/", content.edit, name="piece-new"),
    path("feedback/content/<int:pk>/", content.piece, name="piece"),
    path("feedback/content/<int:pk>/edit/", content.edit, name="piece-edit"),
    path("feedback/content/<int:pk>/retire/", content.retire, name="piece-retire"),
    path("feedback/content/<int:pk>/leads/", content.leads, name="piece-leads"),
    path("feedback/campaigns/", campaigns.campaigns, name="campaigns"),
    path("feedback/campaigns/new/", campaigns.edit, name="campaign-new"),
    path("feedback/campaigns/<int:pk>/", campaigns.campaign, name="campaign"),
    path("feedback/campaigns/<int:pk>/edit/", campaigns.edit, name="campaign-edit"),
    path("feedback/campaigns/<int:pk>/leads/", campaigns.leads, name="campaign-leads"),
    path("feedback/customers/", customers.customers, name="customers"),
    path("feedback/customers/leads/", customers.leads, name="customer-leads"),
    path("feedback/customers/<int:pk>/", customers.customer, name="customer"),
    path("feedback/outcomes/", customers.strays, name="strays"),
    path("feedback/outcomes/again/", customers.again, name="strays-again"),
    path("feedback/outcomes/<int:pk>/match/", customers.match, name="stray-match"),
    path("feedback/outcomes/<int:pk>/drop/", customers.drop, name="stray-drop"),
    path("feedback/replies/<int:pk>/seen/", pages.put_away, name="put-away"),
    path("stop/<str:token>/", pages.stop, name="stop"),
    path("reports/", pages_reports.index, name="reports"),
    path("reports/<slug:name>/", pages_reports.show, name="report"),
    path("reports/<slug:name>/leads/", pages_reports.leads, name="report-leads"),
    path("reports/<slug:name>/headline/", pages_reports.headline, name="report-headline"),
    path("reports/<slug:name>/weekly/", pages_reports.subscribe, name="report-weekly"),
]
