"""What prospects ask: written down, alike ones together, answered by marketing, told to who asked."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from feedback.content import library
from feedback.models import ContentUse, Question
from feedback.questions import groups, log
from handoff import outbox
from handoff.models import Notice, Transition
from leadflow.accounts.actors import person
from leadflow.errors import BadInput, Conflict, Forbidden, NotVisible
from leadflow.leads.models import Content

DEPOTS = "Does it handle two depots?"


@pytest.fixture
def heard(people, make_lead, at):
    """Sam and Ben heard the same question in other words, and something else."""
    texts = (DEPOTS, "Does it handle two depots at once?", "Who hosts the data?")
    who = (people.sam, people.ben, people.sam)
    said = [
        log.Said(text, lead_id=make_lead().pk, asked_by_id=user.pk)
        for text, user in zip(texts, who, strict=True)
    ]
    taken = log.log_many(said, person(people.sam), at=at)
    return list(Question.objects.filter(pk__in=taken.made.values()).order_by("pk"))


def test_alike_questions_stand_together_even_within_one_batch(heard):
    first, like, other = heard
    assert like.group_id == first.pk
    assert first.group_id is None
    assert other.group_id is None


def test_a_later_question_joins_its_like_of_the_same_kind(heard, people, make_lead):
    again = log.log(log.Said("does it handle TWO depots", lead_id=make_lead().pk), person(people.ben))
    assert again.group_id == heard[0].pk
    twice = log.log(log.Said("does it handle TWO depots", lead_id=again.lead_id), person(people.ben))
    assert twice == again
    objection = log.log(log.Said(DEPOTS, "objection", lead_id=make_lead().pk), person(people.ben))
    assert objection.group_id is None


@pytest.mark.parametrize("rows", [2, 40])
def test_many_are_put_together_in_one_statement(rows, people, make_lead, at):
    lead = make_lead()
    said = [log.Said(f"{DEPOTS} {'yes' * (n % 2)}", lead_id=lead.pk) for n in range(rows)]
    with CaptureQueriesContext(connection) as asked:
        log.log_many(said, person(people.sam), at=at)
    assert len(asked) <= 9
    assert Question.objects.filter(group=None).count() == 1


@pytest.mark.parametrize(
    ("said", "path"),
    [
        (log.Said("?"), "text"),
        (log.Said(DEPOTS, "gossip"), "kind"),
        (log.Said("x" * 501), "text"),
        (log.Said(DEPOTS, handoff_id=5), "handoff_id"),
    ],
)
def test_what_cannot_be_written_down_is_told_in_words(said, path, people):
    with pytest.raises(BadInput) as wrong:
        log.log(said, person(people.sam))
    assert wrong.value.faults[0].path == path


def test_an_unknown_lead_is_not_there(people):
    with pytest.raises(NotVisible):
        log.log(log.Said(DEPOTS, lead_id=99), person(people.sam))


def test_marketing_answers_the_group_and_who_asked_hears_of_it(heard, people, at):
    piece = library.add({"title": "Two depots, one plan", "url": "https://x.example/2"}, person(people.mia))
    with pytest.raises(Forbidden):
        log.answer(heard[0].pk, person(people.sam), content_id=piece.pk)
    head = log.answer(heard[1].pk, person(people.mia), content_id=piece.pk, at=at)
    assert head.pk == heard[0].pk
    outbox.deliver(at)
    assert set(Notice.objects.filter(text__contains="Two depots").values_list("user", flat=True)) == {
        people.sam.pk,
        people.ben.pk,
    }
    mine = groups.of_lead(heard[1].lead_id)
    assert mine[0]["head"].content == piece
    assert mine[0]["leads"] == 2


def test_groups_are_joined_and_parted_by_hand(heard, people):
    mia = person(people.mia)
    log.answer(heard[2].pk, mia, text="In Frankfurt.")
    log.join(heard[2].pk, heard[0].pk, mia)
    assert groups.counted([heard[0].pk]) == {heard[0].pk: 3}
    assert log.head_of(heard[2].pk).answer == "In Frankfurt."
    log.part(heard[2].pk, mia)
    assert groups.counted([heard[0].pk]) == {heard[0].pk: 2}
    with pytest.raises(Conflict):
        log.part(heard[0].pk, mia)


def test_what_is_like_it_is_shown_before_a_new_piece_is_asked_for(heard, people, as_user, at):
    library.add({"title": "Planning with two depots"}, person(people.mia))
    mia = as_user(people.mia)
    form = mia.get(f"/feedback/questions/{heard[0].pk}/answer/").content.decode()
    assert form.index("Planning with two depots") < form.index("Ask for it")
    mia.post(f"/feedback/questions/{heard[0].pk}/want/", {"by": "2026-12-01"})
    assert Question.objects.get(pk=heard[0].pk).wanted_by.isoformat() == "2026-12-01"
    page = mia.get("/feedback/questions/?state=wanted").content.decode()
    assert DEPOTS in page
    assert "Who hosts" not in page
    assert mia.post(f"/feedback/questions/{heard[0].pk}/want/", {"by": "2020-01-01"}).status_code == 400


def test_a_new_piece_answers_the_question_it_was_written_for(heard, people, as_user):
    mia = as_user(people.mia)
    assert DEPOTS in mia.get(f"/feedback/content/new/?question={heard[0].pk}").content.decode()
    mia.post(f"/feedback/content/new/?question={heard[0].pk}", {"title": "Depots, how many you like"})
    assert Question.objects.get(pk=heard[0].pk).content.title == "Depots, how many you like"


def test_a_rep_writes_it_down_on_the_lead_and_sees_the_answer_at_once(heard, people, make_lead, as_user):
    log.answer(heard[0].pk, person(people.mia), text="Yes, and three.")
    lead = make_lead()
    sam = as_user(people.sam)
    assert "Does it" in sam.get("/feedback/questions/like/", {"text": "handle two depots"}).content.decode()
    said = sam.post(
        f"/leads/{lead.pk}/questions/", {"text": DEPOTS, "kind": "question"}, headers={"HX-Request": "true"}
    )
    assert "Yes, and three." in said.content.decode()
    assert "2 others said the same" in said.content.decode()
    story = sam.get(f"/leads/{lead.pk}/loop/").content.decode()
    assert "said by 3 leads" in story
    assert f"/leads/{lead.pk}/loop/" in sam.get(f"/leads/{lead.pk}/").content.decode()


def test_a_group_lists_its_leads_and_its_csv_is_safe(heard, people, make_lead, as_user):
    log.log(log.Said("=HYPERLINK(1)", lead_id=make_lead().pk), person(people.sam))
    mia = as_user(people.mia)
    assert str(heard[1].lead) in mia.get(f"/feedback/questions/{heard[0].pk}/?leads=1").content.decode()
    text = b"".join(mia.get("/feedback/questions/?format=csv").streaming_content).decode()
    assert "'=HYPERLINK" in text


def test_the_holder_sends_a_piece_and_it_counts_as_a_contact(offered, people, as_user, at):
    handoff = offered()
    piece = library.add({"title": "ROI sheet", "url": "https://x.example/roi"}, person(people.mia))
    client = as_user(handoff.owner)
    assert "ROI sheet" in client.get(f"/leads/{handoff.lead_id}/loop/?panel=1").content.decode()
    sent = client.post(f"/handoffs/{handoff.pk}/send/", {"content": piece.pk}, headers={"HX-Request": "true"})
    assert "mailto:" in sent.content.decode()
    client.post(f"/handoffs/{handoff.pk}/send/", {"content": piece.pk})
    use = ContentUse.objects.get()
    assert (use.lead_id, use.handoff_id, use.by) == (handoff.lead_id, handoff.pk, handoff.owner)
    handoff.refresh_from_db()
    assert handoff.state == "working"
    assert Transition.objects.filter(handoff=handoff, action="touch").exists()


def test_nothing_is_sent_to_who_wants_no_contact(offered, people, as_user):
    handoff = offered()
    piece = library.add({"title": "ROI sheet", "url": "https://x.example/roi"}, person(people.mia))
    type(handoff.lead).objects.filter(pk=handoff.lead_id).update(do_not_contact=True)
    answer = as_user(handoff.owner).post(f"/handoffs/{handoff.pk}/send/", {"content": piece.pk})
    assert answer.status_code == 400
    assert not ContentUse.objects.exists()


def test_pieces_are_added_changed_and_retired(people, as_user):
    mia = as_user(people.mia)
    wrong = mia.post("/feedback/content/new/", {"title": "", "url": "ftp:x"})
    assert wrong.status_code == 400
    assert "Give it a title" in wrong.content.decode()
    mia.post("/feedback/content/new/", {"title": "ROI sheet", "url": "https://x.example/", "stage": "mql"})
    piece = Content.objects.get()
    assert piece.key == "roi-sheet"
    assert mia.post("/feedback/content/new/", {"title": "roi SHEET"}).status_code == 400
    mia.post(f"/feedback/content/{piece.pk}/edit/", {"title": "ROI sheet 2", "url": "https://x.example/"})
    mia.post(f"/feedback/content/{piece.pk}/retire/")
    piece.refresh_from_db()
    assert (piece.title, piece.active) == ("ROI sheet 2", False)
    mia.get("/")
    assert "ROI sheet 2" not in mia.get("/feedback/content/").content.decode()
    assert "ROI sheet 2" in mia.get("/feedback/content/?retired=1").content.decode()
    mia.post(f"/feedback/content/{piece.pk}/retire/", {"back": "1"})
    assert Content.objects.get().active


def test_a_piece_is_in_the_deals_won_after_it_was_read_or_sent(people, make_lead, did, as_user, at):
    from feedback import outcomes

    piece = library.add({"title": "ROI sheet", "key": "roi"}, person(people.mia))
    read, sent, late = make_lead(), make_lead(), make_lead()
    did(read, "download_buying", days_ago=5, content="roi")
    ContentUse.objects.create(content=piece, lead=sent, by=people.sam, at=at - timedelta(days=1))
    for lead, amount in ((read, 1000), (sent, 500), (late, 70)):
        outcomes.record(lead.pk, person(people.rosa), kind="won", amount=amount, at=at)
    ContentUse.objects.create(content=piece, lead=late, by=people.sam, at=at + timedelta(seconds=1))
    page = as_user(people.mia).get("/feedback/content/").content.decode()
    assert "1,500" in page
    leads = as_user(people.mia).get(f"/feedback/content/{piece.pk}/leads/?cell=won").content.decode()
    assert str(read) in leads
    assert str(sent) in leads
    assert str(late) not in leads
