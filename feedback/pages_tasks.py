"""What marketing has to do: the list, and the repair list with what is wrong."""

from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from feedback import asking, tasks
from feedback.models import Task
from feedback.pages_mqls import MARKETERS, PAGE, next_of
from leadflow import clock, paging
from leadflow.accounts.actors import person
from leadflow.accounts.models import Role
from leadflow.accounts.rights import roles
from leadflow.web import PageRequest, csv_response, with_toast

KINDS = {
    "": "Everything",
    "mine": "Mine",
    Task.Kind.ANSWER: "Answers",
    Task.Kind.ASK: "Sales asks",
    Task.Kind.TRACK: "Steps of tracks",
    Task.Kind.CALL: "Calls",
    Task.Kind.DUPLICATE: "Duplicates",
}


@require_GET
@roles(*MARKETERS, Role.SALES_MANAGER)
def task_page(request: PageRequest) -> HttpResponse:
    """What marketing has to do: repairs, answers, steps of tracks, calls."""
    user: Any = request.user
    kind = request.GET.get("kind", "")
    found = tasks.open_tasks()
    if kind == "mine":
        found = found.filter(owner=user)
    elif kind in KINDS and kind:
        found = found.filter(kind=kind)
    page_of = paging.page_of(found, request.GET.get("page"), PAGE)
    context = {"page": page_of, "at": clock.now(), "kind": kind, "kinds": KINDS, "here": "tasks"}
    return render(request, "feedback/tasks.html", context | tasks.counts())


@require_GET
@roles(*MARKETERS, Role.SALES_MANAGER)
def repairs(request: PageRequest) -> HttpResponseBase:
    """The repair list: what sales could not use, who said so, what was tried; mended in place."""
    found = tasks.repairs()
    if request.GET.get("format") == "csv":
        return csv_response("repair-list", tasks.REPAIR_HEADER, tasks.repair_lines(found))
    page_of = paging.page_of(found, request.GET.get("page"), PAGE)
    rows = tasks.repair_rows(list(page_of.object_list))
    context = {"page": page_of, "rows": rows, "at": clock.now(), "here": "repairs"}
    return render(request, "feedback/repairs.html", context | tasks.counts())


@require_POST
@roles(*MARKETERS, Role.SALES_MANAGER)
def task_done(request: PageRequest, pk: int) -> HttpResponse:
    """Finish, repair or give up a task."""
    actor = person(request.user)
    note = request.POST.get("note", "").strip()
    how = request.POST.get("how", "done")
    if how == "repair":
        fields = {key: request.POST.get(key, "") for key in tasks.REPAIRABLE}
        task, words = tasks.repair(pk, actor, fields, note=note), "Repaired: sales gets the lead again."
    elif how == "give_up":
        task, words = tasks.give_up_repair(pk, actor, note=note), "Noted: it cannot be repaired."
    elif how == "hand_over":
        handoff = asking.hand_over(pk, actor, note=note)
        task = Task.objects.select_related("lead").get(pk=pk)
        words = f"{handoff.owner or 'Sales'} has it now."
    elif how == "not_yet":
        task, words = asking.decline(pk, actor, note=note), "Not yet: told to whoever asked."
    else:
        task, words = tasks.finish(pk, actor, result=note), "Done."
    if request.htmx:
        return with_toast(HttpResponse(""), words, link=(f"/leads/{task.lead_id}/", str(task.lead)))
    return redirect(next_of(request) or reverse("feedback:tasks"))
