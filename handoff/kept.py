"""Views of the queue that a person keeps as tabs: a tab, what it is narrowed to, and a name.

A view is its address: whoever is sent the link sees what it shows of their own leads.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db import transaction
from django.http import QueryDict

from handoff import queue, sieve
from handoff.models import SavedView
from handoff.sieve import Sieve
from leadflow.accounts.models import User
from leadflow.errors import BadInput, Fault, NotVisible

PAGE = SavedView.QUEUE
MOST = 8
LONGEST = 60


@dataclass(frozen=True)
class Kept:
    """A kept view as a tab: `query` is its address."""

    pk: int
    name: str
    tab: str
    sieve: Sieve
    query: str


def address(tab: str, only: Sieve) -> str:
    """The list as it stands in an address, without the lead that is open."""
    return urlencode([("tab", tab), *only.pairs()])


def of(user: User, rows: Iterable[SavedView] | None = None) -> list[Kept]:
    """The person's views in the order in which they were made. One query, none when the rows are at hand."""
    if rows is None:
        rows = SavedView.objects.filter(user=user, page=PAGE).order_by("pk")
    return [_kept(user, row) for row in rows]


def find(user: User, pk: int) -> Kept:
    """One of the person's own views. Raises NotVisible."""
    row = SavedView.objects.filter(user=user, page=PAGE, pk=pk).first()
    if row is None:
        raise NotVisible("There is no such view among yours.")
    return _kept(user, row)


def shown(views: Sequence[Kept], tab: str, only: Sieve) -> Kept | None:
    """The view that is open: the one with this address."""
    here = address(tab, only)
    return next((one for one in views if one.query == here), None)


def save(user: User, name: str, tab: str, only: Sieve) -> Kept:
    """Keep what is shown under a name. The same name again replaces what it stood for.

    Raises BadInput without a name, without anything that narrows, or beyond eight views.
    """
    name = _name(name)
    if not only:
        raise BadInput("There is nothing to keep.", [Fault("name", "Narrow the list first, then keep it.")])
    with transaction.atomic():
        # The person's row is the lock: two clicks make one view.
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        mine = SavedView.objects.filter(user=user, page=PAGE)
        row = mine.filter(name__iexact=name).first()
        if row is None and mine.count() >= MOST:
            raise BadInput("That is enough.", [Fault("name", f"You keep {MOST} views; delete one first.")])
        row = row or SavedView(user=user, page=PAGE)
        row.name, row.query = name, address(tab, only)
        row.save()
    return _kept(user, row)


def rename(user: User, pk: int, name: str) -> Kept:
    """Give one of the person's views another name. Raises NotVisible, BadInput."""
    found, name = find(user, pk), _name(name)
    others = SavedView.objects.filter(user=user, page=PAGE, name__iexact=name).exclude(pk=pk)
    if others.exists():
        raise BadInput("That name is taken.", [Fault("name", "Another of your views is called so.")])
    SavedView.objects.filter(pk=pk).update(name=name)
    return Kept(pk, name, found.tab, found.sieve, found.query)


def delete(user: User, pk: int) -> Kept:
    """Keep the view no longer. Raises NotVisible."""
    found = find(user, pk)
    SavedView.objects.filter(pk=pk).delete()
    return found


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not name:
        raise BadInput("What shall it be called?", [Fault("name", "A word or two.")])
    if len(name) > LONGEST:
        raise BadInput("That is too long.", [Fault("name", f"Keep it under {LONGEST} characters.")])
    return name


def _kept(user: User, row: SavedView) -> Kept:
    query = QueryDict(row.query)
    tab, only = queue.tab_of(user, query.get("tab", "")), sieve.read(query)
    return Kept(row.pk, row.name, tab, only, address(tab, only))
