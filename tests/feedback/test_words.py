"""What a report says in a sentence when figures are alike: the same words in whatever order rows come."""

from itertools import permutations

import pytest

from feedback.reports import sources
from feedback.reports.cube import ALL

NOTHING = {"leads": 0, "customer": 0, "revenue": 0}


@pytest.mark.parametrize(
    ("customers", "words"),
    [
        ((2, 1, 1), "Fair brought most customers: 2 of 4. Mail: 40 leads, no customer yet."),
        ((1, 1, 0), "Fair and Paid brought most customers, 1 each of 2. Mail: 40 leads, no customer yet."),
        ((2, 2, 2), "3 sources brought most customers, 2 each of 6. Mail: 40 leads, no customer yet."),
        ((0, 0, 0), "None of the 200 leads is a customer yet."),
    ],
)
def test_the_best_source_and_sources_that_are_level(customers, words):
    made = dict(zip(("Fair", "Paid", "Web"), customers, strict=True)) | {"Post": 0, "Mail": 0}
    for order in permutations(made):
        now = {("source", key): {"leads": 40, "customer": made[key], "revenue": 0} for key in order}
        now |= {ALL: {"leads": 200, "customer": sum(customers), "revenue": 0}}
        assert "".join(text for text, _ in sources._say(now, {ALL: NOTHING})) == words
