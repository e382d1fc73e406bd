"""The agreement's editor: every part opens, saves unchanged, and tells what is wrong under the field."""

import re
from datetime import timedelta

import pytest
from django.http import QueryDict

from leadflow import clock
from leadflow.accounts.actors import person
from scoring import agreements
from scoring.document import canonical
from scoring.editing import changes, parts, tree
from scoring.models import Agreement
from tests.scoring.forms import open_form, save, sent

pytestmark = pytest.mark.django_db


def test_every_part_of_the_default_agreement_opens_and_saves_unchanged(draft, mia, as_user, people):
    slots = [part.slot for part in parts.all_parts(draft.content)]
    assert len(slots) > 80
    plain = as_user(people.mia)
    for slot in slots:
        kind, _, key = slot.partition("-")
        form = sent(open_form(mia, slot)).urlencode()
        response = plain.post(f"/agreement/part/{kind}/{key}/", form, "application/x-www-form-urlencoded")
        assert response.status_code == 302, (slot, re.sub(r"<[^>]+>", " ", response.content.decode())[:600])
    after = Agreement.objects.get(pk=draft.pk)
    assert canonical(after.content) == canonical(draft.content)
    assert after.lock_version == draft.lock_version


def test_points_are_changed_in_place_and_the_change_is_told(draft, mia):
    response = save(mia, "criterion-f1", points="20")
    assert response.status_code == 200
    text = response.content.decode()
    assert "<del>+15</del>" in text
    assert "+20" in text
    assert "1 change since v1" in text
    after = agreements.get(draft.pk)
    assert next(c for c in after.content["criteria"] if c["id"] == "f1")["points"] == 20


def test_points_that_are_no_number_are_told_under_the_field_and_nothing_is_lost(draft, mia):
    response = save(mia, "criterion-b3", points="many", why="a new why")
    assert response.status_code == 422
    text = response.content.decode()
    assert "A whole number from −1,000 to 1,000 is expected here." in text
    assert 'value="many"' in text
    assert "a new why" in text
    assert agreements.get(draft.pk).content == draft.content


def test_a_condition_is_changed_and_its_fault_has_its_place(draft, mia):
    assert save(mia, "criterion-b3", c__w0__value="/prices").status_code == 200
    after = next(c for c in agreements.get(draft.pk).content["criteria"] if c["id"] == "b3")
    assert after["condition"]["did"]["where"][0]["value"] == ["/prices"]
    response = save(mia, "criterion-b3", c__w0__value=" ")
    assert response.status_code == 422
    assert "1 to 500 texts are expected here." in response.content.decode()


def test_a_bar_is_changed_by_its_number(draft, mia):
    assert save(mia, "bar-all", **{"c.0.value": "53"}).status_code == 200
    after = agreements.get(draft.pk)
    assert after.content["thresholds"]["sql_when"]["all"][0]["value"] == 53
    found = changes.between(draft.content, after.content)
    assert [c.slot for c in found] == ["bar-all"]
    assert found[0].steps[0].was == "score 55 or more"
    assert found[0].steps[0].now == "score 53 or more"


def test_a_bar_that_nobody_can_reach_is_refused_in_words(draft, mia):
    response = save(mia, "bar-all", **{"c.0.value": "130"})
    assert response.status_code == 422
    assert "No lead can reach 130" in response.content.decode()


def test_a_cap_below_the_floor_is_refused_in_words(draft, mia):
    response = save(mia, "limits-fit", cap="-50")
    assert response.status_code == 422
    assert "below the floor" in response.content.decode()


def test_a_condition_can_be_added_and_taken_away(draft, mia):
    data = sent(open_form(mia, "criterion-b1"))
    data["act"] = "add:c"
    url, kind = "/agreement/part/criterion/b1/", "application/x-www-form-urlencoded"
    text = mia.post(url, data.urlencode(), kind).content.decode()
    assert 'name="c.1.is"' in text
    data = sent(text)
    data["c.1.value"] = "CEO, CFO"
    assert mia.post(url, data.urlencode(), kind).status_code == 200
    condition = next(c for c in agreements.get(draft.pk).content["criteria"] if c["id"] == "b1")["condition"]
    assert condition["all"][1] == {"fact": "title", "op": "has_word", "value": ["CEO", "CFO"]}
    data = sent(open_form(mia, "criterion-b1"))
    data["act"] = "cut:c.1"
    data = sent(mia.post(url, data.urlencode(), kind).content.decode())
    mia.post(url, data.urlencode(), kind)
    assert agreements.get(draft.pk).content == draft.content


def test_groups_nest_to_the_agreed_depth_and_no_deeper(draft, mia):
    url, kind = "/agreement/part/criterion/b1/", "application/x-www-form-urlencoded"
    text, place = open_form(mia, "criterion-b1"), "c"
    for _ in range(6):
        data = sent(text)
        data["act"] = f"group:{place}"
        text = mia.post(url, data.urlencode(), kind).content.decode()
        place = f"{place}.1"
        if f'name="{place}.is"' not in text:
            place = f"{place[:-2]}"
    response = mia.post(url, sent(text).urlencode(), kind)
    assert response.status_code == 422
    assert re.search(r"nested more than 6 deep|1 to 500 texts", response.content.decode())


def test_a_new_criterion_gets_an_id_and_its_own_sentence(draft, mia):
    text = mia.get("/agreement/part/criterion/new/?group=behaviour").content.decode()
    data = sent(text)
    data["points"], data["c.days"] = "6", "60"
    url = "/agreement/part/criterion/new/"
    response = mia.post(url, data.urlencode(), "application/x-www-form-urlencoded")
    assert response.status_code == 200
    made = agreements.get(draft.pk).content["criteria"][-1]
    assert made["id"] == "b18"
    assert made["points"] == 6
    assert made["text"].startswith("Viewed a page")


def test_a_criterion_that_others_ask_for_cannot_be_removed(draft, mia):
    response = mia.post("/agreement/part/criterion/f9/remove/")
    assert response.status_code == 400
    assert "asks for it" in response.content.decode()
    assert mia.post("/agreement/part/criterion/b17/remove/").status_code == 200
    assert all(c["id"] != "b17" for c in agreements.get(draft.pk).content["criteria"])
    assert mia.post("/agreement/part/criterion/b17/restore/").status_code == 200
    assert any(c["id"] == "b17" for c in agreements.get(draft.pk).content["criteria"])


def test_duplicate_switch_move_and_undo_of_a_change(draft, mia):
    def ids():
        return [c["id"] for c in agreements.get(draft.pk).content["criteria"] if c["group"] == "value"]

    assert mia.post("/agreement/part/criterion/v4/up/").status_code == 200
    assert ids() == ["v1", "v2", "v4", "v3"]
    assert mia.post("/agreement/part/criterion/v4/copy/").status_code == 200
    assert ids() == ["v1", "v2", "v4", "v5", "v3"]
    assert mia.post("/agreement/part/criterion/v3/switch/").status_code == 200
    assert "switched" not in canonical(agreements.get(draft.pk).content)
    assert not next(c for c in agreements.get(draft.pk).content["criteria"] if c["id"] == "v3")["on"]
    assert mia.post("/agreement/part/criterion/v3/restore/").status_code == 200
    assert next(c for c in agreements.get(draft.pk).content["criteria"] if c["id"] == "v3")["on"]
    order = [("key", k) for k in ("v1", "v2", "v3", "v4", "v5")]
    data = QueryDict(mutable=True)
    for name, key in order:
        data.appendlist(name, key)
    response = mia.post("/agreement/order/value/", data.urlencode(), "application/x-www-form-urlencoded")
    assert response.status_code == 200
    assert ids() == ["v1", "v2", "v3", "v4", "v5"]


def test_two_people_on_the_same_criterion_are_told_kindly(draft, mia, as_user, people):
    data = sent(open_form(mia, "criterion-f2"))
    noah = as_user(people.noah)
    noah.defaults["HTTP_HX_REQUEST"] = "true"
    save(noah, "criterion-f2", points="14")
    data["points"] = "13"
    url, kind = "/agreement/part/criterion/f2/", "application/x-www-form-urlencoded"
    response = mia.post(url, data.urlencode(), kind)
    assert response.status_code == 422
    text = response.content.decode()
    assert re.search(r"Noah changed this \d+ s ago", text)
    assert re.search(r"\+14|>14<", text)
    assert 'value="13"' in text
    again = sent(text)
    assert mia.post(url, again.urlencode(), kind).status_code == 200
    assert next(c for c in agreements.get(draft.pk).content["criteria"] if c["id"] == "f2")["points"] == 13


def test_two_people_on_different_criteria_do_not_disturb_each_other(draft, mia, as_user, people):
    data = sent(open_form(mia, "criterion-f2"))
    noah = as_user(people.noah)
    noah.defaults["HTTP_HX_REQUEST"] = "true"
    save(noah, "criterion-f3", points="7")
    data["points"] = "13"
    url = "/agreement/part/criterion/f2/"
    assert mia.post(url, data.urlencode(), "application/x-www-form-urlencoded").status_code == 200
    points = {c["id"]: c["points"] for c in agreements.get(draft.pk).content["criteria"]}
    assert (points["f2"], points["f3"]) == (13, 7)


@pytest.mark.parametrize("tab", list(parts.TABS))
def test_every_tab_shows_no_json_and_costs_few_queries(
    tab, draft, as_user, people, django_assert_max_num_queries
):
    client = as_user(people.mia)
    with django_assert_max_num_queries(20):
        text = client.get(f"/agreement/{tab}/").content.decode()
    body = re.sub(r"hx-vals='[^']*'|hx-headers='[^']*'|<meta[^>]*>", "", text)
    assert '{"' not in body
    assert "&quot;op&quot;" not in body


def test_a_rep_reads_and_cannot_change(draft, as_user, people):
    client = as_user(people.sam)
    text = client.get("/agreement/who/").content.decode()
    assert "v1 in force" in text
    assert "Add a criterion" not in text
    assert client.get("/agreement/part/criterion/f1/").status_code == 403
    assert client.post("/agreement/part/criterion/f1/remove/").status_code == 403
    assert client.post("/agreement/propose/").status_code == 403


def test_what_is_in_force_is_read_only(at, agreement_in_force, as_user, people):
    client = as_user(people.mia)
    text = client.get("/agreement/who/").content.decode()
    assert "Start a draft" in text
    assert "Add a criterion" not in text
    response = client.post("/agreement/part/criterion/f1/", {"points": "3"})
    assert response.status_code == 409
    assert agreements.get(agreement_in_force.pk).content == agreement_in_force.content


def test_live_counts_come_with_a_fixed_number_of_queries(
    draft, mia, make_lead, django_assert_max_num_queries
):
    for title in ("CEO", "CFO", "Clerk"):
        make_lead(title=title)
    mia.get("/agreement/live/fit/")
    with django_assert_max_num_queries(16):
        text = mia.get("/agreement/live/fit/").content.decode()
    assert "Counted over all 3 leads; too few customers to compare." in text
    assert re.search(r'id="live-criterion-f1"[^>]*><span>matches <a [^>]*><b>2</b> leads', text)


def test_beside_a_group_stands_who_is_at_its_cap_and_each_figure_leads_to_its_leads(draft, mia, make_lead):
    content = agreements.get(draft.pk).content
    content["groups"]["fit"]["cap"] = 10
    type(draft).objects.filter(pk=draft.pk).update(content=content)
    chief, _ = make_lead(title="CEO"), make_lead(title="Clerk")
    text = mia.get("/agreement/live/fit/").content.decode()
    assert re.search(r'id="live-cap"[^>]*><a href="([^"]*)">1 lead</a>', text)
    for of in ("cap", "matches:f1"):
        page = mia.get(f"/agreement/matching/fit/?v={draft.number}&of={of}").content.decode()
        assert page.count('class="who"') == 1
        assert f"/leads/{chief.pk}/" in page
    assert mia.get("/agreement/matching/fit/?of=limit:nothing").status_code == 404
    for group in ("behaviour", "value"):
        assert 'id="live-cap"' in mia.get(f"/agreement/live/{group}/").content.decode()
        assert mia.get(f"/agreement/matching/{group}/?of=floor").status_code == 200
    assert mia.get("/agreement/matching/behaviour/?of=limit:b3").status_code == 200


def test_two_people_in_one_draft_hear_of_each_other(
    at, draft, mia, as_user, people, django_assert_max_num_queries
):
    noah = as_user(people.noah)
    page = {"v": draft.number, "lock": draft.lock_version, "tab": "who", "open": ""}
    noah.post("/agreement/here/", page | {"open": "criterion-f2"})
    with django_assert_max_num_queries(12):
        text = mia.post("/agreement/here/", page).content.decode()
    title = parts.part(draft.content, "criterion", "f2").title
    assert f"{people.noah.name.split()[0]} is here, editing" in text
    assert title in text
    assert 'data-at="criterion-f2"' in text
    agreements.save_draft(
        draft, {**draft.content, "title": "Ours"}, person(people.noah), draft.lock_version, what="the title"
    )
    assert (
        f"{people.noah.name} changed the draft: the title"
        in mia.post("/agreement/here/", page).content.decode()
    )
    with clock.use(at + timedelta(seconds=20)):
        assert "is here" not in mia.post("/agreement/here/", page).content.decode()
    agreements.discard_draft(agreements.get(draft.pk), person(people.noah))
    ended = mia.post("/agreement/here/", page)
    assert ended.status_code == 286
    assert "put aside" in ended.content.decode()


def test_see_who_moves_names_those_who_enter_the_queue(draft, mia, make_lead, did, people):
    from leadflow import clock
    from scoring import engine

    lead = make_lead(
        name="Hanna Virtanen", title="Director", employees=120, industry="Manufacturing", country="DE"
    )
    did(lead, "webinar_attended", 10)
    did(lead, "page_view", 3, path="/pricing")
    did(lead, "page_view", 5, path="/pricing")
    while engine.score_pending(clock.now()):
        pass
    save(mia, "bar-all", **{"c.0.value": "40"})
    form = open_form(mia, "bar-all")
    data = sent(form)
    data.setlist("c.1.grade", ["A1", "A2", "B1", "B2"])
    mia.post("/agreement/part/bar/all/", data.urlencode(), "application/x-www-form-urlencoded")
    text = mia.get("/agreement/moves/").content.decode()
    assert "Hanna Virtanen" in text


def test_the_printed_page_says_everything(draft, as_user, people):
    text = as_user(people.sam).get("/agreement/print/?v=2").content.decode()
    for words in (
        "Good lead",
        "Viewed a page under /pricing",
        "Fast track",
        "Too small or wrong type",
        "For marketing",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        (["CEO", "vice president"], "CEO, vice president"),
        (["a, b", "c"], "a, b; c"),
        (["a, b"], "a, b;"),
        ("/pricing", "/pricing"),
    ],
)
def test_lists_of_words_survive_being_typed(value, typed):
    assert tree.join_words(value) == typed
    assert tree.split_words(typed) == ([value] if isinstance(value, str) else value)
