"""A lead that does not exist, for as long as one asks about it.

Its facts and acts go through the doors through which real ones come (`leads.intake`), inside a transaction
that is always undone; in between it is scored by the very statement that scores everybody. So it is checked,
folded and derived as a real one (a visit from its page views, the domain from its address), no second way of
scoring exists that could differ, and nothing stays behind: no row, no event (what waits for the commit is
dropped with it), only a gap in the numbers of ids. A row source of typed values would have been quicker, but
would have had to repeat for each fact and kind what intake does.

So that no real lead or company is touched, or even locked, the imaginary one has an address and a company of
its own: of a typed address only the domain counts.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.errors import BadInput, Fault
from leadflow.leads import intake
from leadflow.leads.facts import Fact, known_facts

# Facts that one may not type: the house sets them itself, or they are switches of a company.
_NOT_TYPED = ("email_domain", "first_campaign", "do_not_contact", "is_customer", "company_domain")
MOST_ACTS = 60
MOST_ROWS = 8
MOST_DAYS = 1_000
NAME = "Imaginary lead"


@dataclass(frozen=True)
class Act:
    """Something that the imaginary lead did: `times` times, once a day back from `days` days ago."""

    kind: str
    times: int
    days: float
    path: str = ""


def facts() -> list[Fact]:
    """What may be typed, in the order of the catalogue."""
    return [
        fact
        for fact in known_facts().values()
        if fact.key not in _NOT_TYPED and not fact.retired and not fact.key.startswith("is_")
    ]


@contextmanager
def lead(values: Mapping[str, str], acts: Sequence[Act]) -> Iterator[int]:
    """The id of a lead with these facts and acts; when the block ends it has never been there.

    Raises BadInput for a value that a real lead could not have either; its paths are `fact.…` and `act.…`.
    """
    _check(acts)
    with transaction.atomic():
        try:
            yield _write(values, acts)
        finally:
            transaction.set_rollback(True)


def _check(acts: Sequence[Act]) -> None:
    faults = []
    for i, act in enumerate(acts):
        if not 1 <= act.times <= MOST_ACTS:
            faults.append(Fault(f"act.{i}.times", f"Between 1 and {MOST_ACTS} times."))
        if not 0 <= act.days <= MOST_DAYS:
            faults.append(Fault(f"act.{i}.days", f"Between 0 and {MOST_DAYS} days ago."))
    if faults:
        raise BadInput("This cannot be tried.", faults)


def _write(values: Mapping[str, str], acts: Sequence[Act]) -> int:
    mark = secrets.token_hex(8)
    typed = {key: value for key, value in values.items() if str(value).strip()}
    domain = str(typed.pop("email", "")).rpartition("@")[2]
    row: dict[str, Any] = {"name": NAME, **typed, "external_id": mark}
    if domain:
        row["email"] = f"imaginary-{mark}@{domain}"
    if any(key.startswith(("company", "industry", "employees", "revenue")) for key in typed):
        row["company_domain"] = f"{mark}.invalid"
        row.setdefault("company_name", "Imaginary company")
    made = intake.upsert_leads([row], source=f"imaginary-{mark}", actor=SYSTEM)
    if made.rejected:
        raise BadInput("This cannot be tried.", _faults("fact", made.rejected[0].errors))
    lead_id = int(made.accepted[0])
    now = clock.now()
    rows = [
        {
            "source": f"imaginary-{mark}",
            "external_id": f"{i}-{n}",
            "kind": act.kind,
            "lead_id": lead_id,
            "occurred_at": now - timedelta(days=act.days + n),
            **({"path": act.path} if act.path else {}),
        }
        for i, act in enumerate(acts)
        for n in range(act.times)
    ]
    done = intake.record_activities(rows, actor=SYSTEM) if rows else None
    if done is not None and done.rejected:
        index = str(rows[done.rejected[0].index]["external_id"]).split("-")[0]
        raise BadInput("This cannot be tried.", _faults(f"act.{index}", done.rejected[0].errors))
    return lead_id


def _faults(where: str, errors: Sequence[Fault]) -> list[Fault]:
    return [Fault(f"{where}.{fault.path}", fault.message) for fault in errors]
