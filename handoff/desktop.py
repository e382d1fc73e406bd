"""What a browser shows outside the page: the notices that came while somebody looked elsewhere.

The page asks by itself, every so often, once for all its tabs; no server of anybody else is involved.
"""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from handoff.models import Notice
from leadflow import clock
from leadflow.accounts.models import User

AT_ONCE = 3
# What lay unread for longer is no news.
FRESH = timedelta(hours=1)


@require_GET
def news(request: HttpRequest) -> HttpResponse:
    """The unread notices after `after`, at most three, as JSON; 204 for none. One query.

    Without `after`: only the id of the newest, from where to ask on.
    """
    assert isinstance(request.user, User)
    text = request.GET.get("after", "")
    mine = Notice.objects.filter(user=request.user).order_by("-at", "-id")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        newest = mine.values_list("pk", flat=True).first()
        return JsonResponse({"after": newest or 0, "notices": []})
    rows = list(mine.filter(at__gt=clock.now() - FRESH, pk__gt=int(text), read_at=None)[:AT_ONCE])
    if not rows:
        return HttpResponse(status=204)
    told = [{"id": row.pk, "text": row.text, "url": row.url or "/queue/"} for row in reversed(rows)]
    return JsonResponse({"after": max(row.pk for row in rows), "notices": told})
