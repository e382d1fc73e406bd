"""The demo company's life: set up, agreement signed, months lived, and what lies on the desks today."""

import copy
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from feedback.models import RepAnswer
from handoff import outbox
from handoff.models import Notice, Outbox
from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.demo import loop, review, story, tools, views, world
from leadflow.demo.play import Play
from leadflow.demo.story import Cast
from leadflow.jobs import runner
from leadflow.leads.models import Answer
from scoring import agreements

# The share of the time after which the second version comes into force.
SECOND_VERSION = 0.55


def live(
    seed: int,
    leads: int,
    start: datetime,
    end: datetime,
    progress: Callable[[datetime], None] = lambda at: None,
) -> None:
    """Write the company into an empty database. The same arguments write the same rows."""
    people = world.build(seed, leads, start, end)
    with clock.use(start):
        cast = story.set_up(start, end, leads)
        agreements.install_default(
            person_marketing=cast.noah, person_sales=cast.rosa, content=first_agreement()
        )
        _work_off()
    play = Play(seed, people, cast, end)
    play.plan(start + (end - start) * SECOND_VERSION, lambda at: _second_version(cast, at))
    # In a company of few weeks not before there are leads to talk about.
    talk = max(end - tools.SAT_DOWN, start + (end - start) * SECOND_VERSION)
    play.plan(talk, lambda at: tools.hold_workshop(cast, play.by_lead, seed))
    play.run(progress)
    loop.play(seed, cast, end)
    review.play(seed, cast, start, end)
    views.play(cast)
    with clock.use(end):
        _desks(cast, end)
        tools.try_on_the_past(cast, end)
        _work_off()


def first_agreement() -> dict[str, Any]:
    """The default, in the words of a maker of route planners, with one wrong rule: guides count too much."""
    content = agreements.first_content()
    content["title"] = "What a lead is worth to Fleetsong"
    content["lists"]["target_industries"]["entries"] = [i.casefold() for i in world.TARGET_INDUSTRIES]
    rule = _rule(content, "b8")
    rule["points"], rule["max_points"] = 6, 12
    rule["why"] = "Who reads our guides is learning to buy."
    content["admission"]["new_per_rep_per_day"] = 4
    return content


def _rule(content: dict[str, Any], key: str) -> dict[str, Any]:
    return next(rule for rule in content["criteria"] if rule["id"] == key)


def _second_version(cast: Cast, at: datetime) -> None:
    """After a monthly review: tiny firms count less, trade shows more."""
    draft = agreements.create_draft(person(cast.mia), note="From the August review")
    content = copy.deepcopy(draft.content)
    _rule(content, "f6")["points"] = -14
    _rule(content, "b6")["points"] = 10
    _rule(content, "b7")["points"] = 6
    agreements.save_draft(draft, content, person(cast.mia), draft.lock_version, what="three rules")
    agreements.propose(draft, person(cast.mia), note="Tiny firms count less, talks at the booth more")
    agreements.sign(draft, person(cast.noah))
    agreements.sign(draft, person(cast.rosa))
    _work_off()


def _desks(cast: Cast, end: datetime) -> None:
    """What people find when they come in: Mia's draft, an answer to Ben, read notices."""
    _draft_of_today(cast)
    _answer(cast, end)
    # Nobody reads the mail of last month; what is recent rings the bell.
    Outbox.objects.filter(created_at__lt=end - timedelta(days=3)).delete()
    while outbox.deliver(end):
        pass
    Notice.objects.filter(at__lt=end - timedelta(hours=20)).update(read_at=end)


def _draft_of_today(cast: Cast) -> None:
    draft = agreements.create_draft(person(cast.mia), note="Guides give too much")
    content = copy.deepcopy(draft.content)
    _rule(content, "b8")["points"], _rule(content, "b8")["max_points"] = 2, 6
    _rule(content, "b3")["points"], _rule(content, "b3")["max_points"] = 8, 24
    # Sales has room: ready a little sooner.
    content["grade"]["numbers"][1][1] = 10
    total = next(part for part in content["thresholds"]["sql_when"]["all"] if part.get("score") == "total")
    total["value"] = 50
    agreements.save_draft(
        draft, content, person(cast.mia), draft.lock_version, what="guides less, prices more"
    )


def _answer(cast: Cast, end: datetime) -> None:
    """Mia's word to Ben about what he rejects most."""
    rejected = (
        Answer.objects.filter(rep=cast.ben, kind=Answer.Kind.REJECTED, reason_key="1").order_by("-at").first()
    )
    if rejected:
        RepAnswer.objects.create(
            to=cast.ben,
            by=cast.mia,
            text="Firms of fewer than ten people get fewer points now, because of your rejections.",
            handoff_id=rejected.handoff_id,
            criterion="f6",
            at=end - timedelta(hours=3),
        )


def _work_off() -> None:
    while runner.work_one():
        pass
