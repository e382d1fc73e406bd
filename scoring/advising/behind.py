"""The leads behind the figures of a finding."""

from dataclasses import dataclass

from leadflow import clock
from leadflow.errors import NotVisible
from scoring import current as applied
from scoring.advising import base
from scoring.advising.candidates import Candidate
from scoring.advising.looking import wide
from scoring.backtesting import cases
from scoring.backtesting.runs import sha_of
from scoring.document import Criterion, Document
from scoring.models import AdvisorFinding


@dataclass(frozen=True)
class Behind:
    """Lead ids in order; `ends` tells those that came to a good end, None where ends are not the question."""

    ids: list[int]
    ends: dict[int, bool] | None


def behind(finding: AdvisorFinding) -> Behind:
    """Who is counted: the decided leads that had it, or the leads that match the rules now.

    Raises NotVisible when the version says something else by now.
    """
    agreement = finding.agreement
    if sha_of(agreement) != finding.sha256:
        raise NotVisible
    document = Document(agreement.content)
    if finding.kind in ("loser", "points", "candidate"):
        return _decided(finding, document)
    keys = [finding.criterion, str(finding.figures.get("other") or "")]
    criteria = [found for key in keys if key and (found := document.criterion(key))]
    return Behind(base.leads(applied.program_of(document), criteria, clock.now()), None)


def _decided(finding: AdvisorFinding, document: Document) -> Behind:
    criterion = _asked(finding, document)
    found = cases.decided(finding.figures["goal"], finding.at)
    held = cases.held(wide(document), [criterion], found)
    with_it = [case for i, case in enumerate(found) if i in held and held[i][0][0]]
    with_it.sort(key=lambda case: (not case.good, -case.at.timestamp(), case.lead))
    return Behind([case.lead for case in with_it], {case.lead: case.good for case in with_it})


def _asked(finding: AdvisorFinding, document: Document) -> Criterion:
    if finding.kind == "candidate":
        condition = finding.figures["condition"]
        return Candidate(condition, finding.figures["group"], "").criterion(0)
    found = document.criterion(finding.criterion)
    if found is None:
        raise NotVisible
    return found
