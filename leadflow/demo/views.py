"""What people of the demo company keep as tabs of their queue."""

from handoff import kept
from handoff.models import Handoff
from handoff.sieve import Sieve
from leadflow.demo.story import Cast


def play(cast: Cast) -> None:
    """Two people keep a view each."""
    kept.save(cast.sam, "Best first", "mine", Sieve(grades=("A",)))
    kept.save(cast.rosa, "Fast tracks", "team", Sieve(kind=Handoff.Kind.FAST_TRACK))
