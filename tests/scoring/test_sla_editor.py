"""The promises of sales in the editor: written as sentences, told at their place, read as changes."""

import pytest

from leadflow.errors import BadInput
from scoring import agreements, sla
from scoring.editing import changes, parts
from scoring.editing import sla as editing
from scoring.editing.parts import SHAPES, Part
from tests.scoring.forms import open_form, save, sent

FAST = {
    "key": "fast",
    "text": "Fast track",
    "when": {"handoff": "kind", "op": "is", "value": "fast_track"},
    "accept": 15,
    "first_touch": 30,
    "next_attempt": 480,
    "hours": {"accept": "always", "first_touch": "always"},
    "first_touch_from": "accept",
    "warn": [0.5, 0.75],
    "late": [
        {"after": 0, "do": "notify"},
        {"after": 15, "do": "reassign", "clock": "accept"},
        {"after": 1_440, "do": "pool"},
    ],
    "snooze": {"times": 1, "working_days": 2},
    "snooze_after_touch": True,
    "give_up": {"attempts": 8, "working_days": 12, "channels": 3},
}
REST = {"key": "rest", "text": "Others", "when": None, "accept": 240, "first_touch": 480, "next_attempt": 960}


def told(*policies, complete=False):
    return {fault.path: fault.message for fault in sla.faults(list(policies), complete=complete)}


def test_a_promise_is_read_as_sentences():
    assert editing.sentences(FAST) == [
        "Answers within 15 min around the clock; first contact within 30 min around the clock from the "
        "acceptance; then the next attempt within 8 h",
        "Warns the rep at 50% and 75% of the time",
        "When late: at once tell the rep and the manager; 15 min later give it to a colleague who is there, "
        "for the answer alone; 24 h later put it into the team's pool",
        "Sleeps, and its clock stands still: at most 1 time, 2 working days each, "
        "only after the first contact",
        "“No answer” not before 8 attempts, 12 working days, 3 channels",
    ]
    assert editing.sentences(REST)[-1] == "When late: nothing happens by itself"


@pytest.mark.parametrize(
    ("text", "hours", "minutes"),
    [
        ("15", "working", 15),
        ("1 h 30 min", "working", 90),
        ("2 working days", "working", 960),
        ("2 days", "always", 2_880),
        ("1d 4h", "working", 720),
        ("2 days", "", None),
        ("soon", "working", None),
        ("", "working", None),
    ],
)
def test_a_time_is_written_as_people_write_it(text, hours, minutes):
    assert editing.read_time(text, hours) == minutes


@pytest.mark.parametrize("hours", ["working", "always", ""])
def test_a_time_that_is_shown_is_read_as_the_same(hours):
    for minutes in (1, 15, 59, 60, 61, 90, 480, 481, 960, 1_440, 2_880, 28_800):
        assert editing.read_time(editing.time_words(minutes, hours), hours) == minutes


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"accept": 0}, "sla[0].accept"),
        ({"first_touch": 4.5}, "sla[0].first_touch"),
        ({"next_attempt": "soon"}, "sla[0].next_attempt"),
        ({"hours": {"accept": "night"}}, "sla[0].hours.accept"),
        ({"first_touch_from": "call"}, "sla[0].first_touch_from"),
        ({"warn": [1.2]}, "sla[0].warn"),
        ({"warn": [0.75, 0.5]}, "sla[0].warn"),
        ({"late": [{"after": 5, "do": "shout"}]}, "sla[0].late[0].do"),
        ({"late": [{"after": -1, "do": "notify"}]}, "sla[0].late[0].after"),
        ({"late": [{"after": 9, "do": "pool"}, {"after": 5, "do": "notify"}]}, "sla[0].late"),
        ({"late": [{"after": 9, "do": "pool"}] * 2}, "sla[0].late"),
        ({"snooze": {"times": 99}}, "sla[0].snooze.times"),
        ({"give_up": {"tries": 9}}, "sla[0].give_up.tries"),
        ({"when": None}, "sla[0].when"),
    ],
)
def test_what_is_no_promise_is_told_at_its_place(change, path):
    assert told(FAST, REST) == {}
    assert list(told({**FAST, **change}, REST)) == [path]


def test_the_last_promise_is_for_everybody_else():
    assert list(told(FAST)) == ["sla[0].when"]


def test_a_policy_that_is_frozen_counts_as_the_one_that_was_agreed():
    policy = sla.Policy.of(FAST)
    frozen = sla.Policy.of(policy.frozen())
    assert {**frozen.__dict__, "when": policy.when, "terms": policy.terms} == policy.__dict__
    assert policy.terms_for({"snooze": {"times": 2, "working_days": 5}, "give_up": {"attempts": 6}}) == {
        "snooze": {"times": 1, "working_days": 2},
        "give_up": {"attempts": 8, "working_days": 12, "channels": 3},
    }
    broken = sla.Policy.of({"accept": "x", "late": [3], "hours": 5, "warn": "no", "snooze": []})
    assert (broken.accept, broken.late, broken.always, broken.warn, broken.terms) == (0, (), (), (), {})


@pytest.mark.django_db
def test_two_versions_differ_in_words():
    was = {**FAST, "accept": 30, "late": FAST["late"][:1], "warn": [], "hours": {}, "snooze": {}}
    found = changes._steps(
        *(Part(SHAPES["sla"], "fast", ("sla", 0), raw) for raw in (was, FAST)),
        *[changes.Document({"sla": []})] * 2,
        *[changes.words_for(changes.Document({}))] * 2,
    )
    assert {step.label: (step.was, step.now) for step in found} == {
        "Answer within": ("30 min", "15 min"),
        "Answer counts": ("of working time", "around the clock, 24/7"),
        "First contact counts": ("of working time", "around the clock, 24/7"),
        "Warns": ("never", "at 50% and 75% of the time"),
        "When late": (
            "at once tell the rep and the manager",
            "at once tell the rep and the manager; 15 min later give it to a colleague who is there, for the "
            "answer alone; 24 h later put it into the team's pool",
        ),
        "May sleep, at most so often": ("–", "1"),
        "May sleep, at most so many working days": ("–", "2"),
    }


@pytest.mark.django_db
def test_a_promise_is_written_in_the_browser_and_told_in_the_list_of_changes(draft, mia):
    assert "Answers within" in open_form(mia, "sla-grade_a")
    response = save(
        mia,
        "sla-grade_a",
        accept="2 h",
        first_touch="1 day",
        **{
            "hours.accept": "always",
            "first_touch_from": "accept",
            "warn.0": "60",
            "late.1.after": "30 min",
            "late.1.do": "pool",
            "late.1.clock": "first_touch",
            "snooze.times": "1",
            "stands": "touch",
            "give_up.attempts": "8",
        },
    )
    assert response.status_code == 200
    after = agreements.get(draft.pk)
    found = next(raw for raw in after.content["sla"] if raw["key"] == "grade_a")
    assert (found["accept"], found["first_touch"], found["hours"]) == (120, 480, {"accept": "always"})
    assert (found["first_touch_from"], found["warn"], found["snooze_after_touch"]) == ("accept", [0.6], True)
    assert found["late"][1] == {"after": 30, "do": "pool", "clock": "first_touch"}
    assert (found["snooze"], found["give_up"]) == ({"times": 1}, {"attempts": 8})
    (change,) = changes.between(draft.content, after.content)
    assert "answer within 4 h → 2 h" in change.text
    assert "answer counts of working time → around the clock, 24/7" in change.text
    assert "30 min later put it into the team&#x27;s pool" in response.content.decode()


@pytest.mark.django_db
def test_a_wrong_time_keeps_what_was_typed_and_is_told_beside_it(draft, mia):
    response = save(mia, "sla-others", accept="soon", **{"warn.0": "120", "late.1.after": "never"})
    text = response.content.decode()
    assert response.status_code == 422
    assert 'value="soon"' in text
    assert "Write a time such as 15 min, 4 h or 2 days." in text
    assert "“120” is no share" in text
    assert "Step 2: Write a time" in text
    assert agreements.get(draft.pk).content == draft.content


@pytest.mark.django_db
def test_rows_are_added_and_dropped_and_a_new_promise_stands_ahead_of_the_last(draft, mia):
    data = sent(open_form(mia, "sla-others"))
    url, kind = "/agreement/part/sla/others/", "application/x-www-form-urlencoded"
    for act, names in (("step", "late.2.after"), ("warn", "warn.1"), ("drop-late:0", "")):
        data["act"] = act
        text = mia.post(url, data.urlencode(), kind).content.decode()
        assert not names or f'name="{names}"' in text
    new = sent(open_form(mia, "sla-new"))
    new["text"], new["act"] = "Large companies", "save"
    assert mia.post("/agreement/part/sla/new/", new.urlencode(), kind).status_code in (200, 302)
    keys = [raw["key"] for raw in agreements.get(draft.pk).content["sla"]]
    assert keys == ["fast_track", "grade_a", "promise1", "others"]


@pytest.mark.django_db
def test_the_promise_for_everybody_else_stays_and_stays_last(draft, mia):
    content = draft.content
    last = parts.part(content, "sla", "others")
    assert last is not None
    with pytest.raises(BadInput):
        parts.without_part(content, last)
    assert mia.post("/agreement/part/sla/grade_a/down/").status_code == 409
    assert mia.post("/agreement/part/sla/others/copy/").status_code == 200
    after = agreements.get(draft.pk).content["sla"]
    assert [raw["key"] for raw in after][-1] == "others"
    assert after[-2]["when"]
    assert not list(sla.faults(after, complete=True))
