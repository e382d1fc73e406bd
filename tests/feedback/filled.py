"""Rows of everything that the loop's pages list."""

from datetime import timedelta
from typing import Any

from django.db.models import Max

from feedback.models import ContentUse, Question
from leadflow.leads.models import Campaign, Content, Lead, UnmatchedOutcome
from tests.feedback.histories import write_histories


def fill(people: Any, at: Any, rows: int) -> None:
    """`rows` more of each, told apart by their numbers."""
    write_histories(people, at, rows, seed=rows)
    last = Campaign.objects.aggregate(last=Max("pk"))["last"] or 0
    for n in range(last, last + rows):
        lead = Lead.objects.order_by("-pk").first()
        Campaign.objects.create(name=f"Campaign {n}", code=f"c{n}", starts_on=at.date())
        piece = Content.objects.create(key=f"k{n}", title=f"Piece {n}", url="https://x.example/")
        Question.objects.create(
            text=f"Question {n}?", text_key=f"question {n}", asked_by=people.sam, at=at - timedelta(days=1),
            lead=lead, content=piece,
        )  # fmt: skip
        ContentUse.objects.create(content=piece, lead=lead, by=people.sam, at=at)
        UnmatchedOutcome.objects.create(
            source="crm",
            raw={"external_id": f"x{n}", "kind": "won", "email": "a@b.example"},
            reason="None",
            at=at,
        )
