"""The API of questions, content, campaigns, customers, and of outcomes that found no lead."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.db.models import Model, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from feedback.campaigns import figures as campaign_figures
from feedback.campaigns import keeping
from feedback.content import figures as content_figures
from feedback.content import library
from feedback.content.figures import Used
from feedback.customers import months, unmatched, way
from feedback.models import Question
from feedback.questions import groups, log
from feedback.reports.base import read_filters
from handoff.api import ACT_PROBLEMS, IDEMPOTENCY
from leadflow import clock
from leadflow.accounts.api import actor_of, idempotent, rows_of, told
from leadflow.accounts.models import User
from leadflow.errors import BadInput, Fault, NotVisible
from leadflow.leads.folding import fold
from leadflow.leads.models import Campaign, Content, Lead, Outcome, UnmatchedOutcome

PAGE, PAGE_LIMIT = 100, 500
BIGGEST = 2**63 - 1
YEAR = 365
_LIMIT = OpenApiParameter("limit", int, description=f"Rows per page, at most {PAGE_LIMIT}")
_CURSOR = OpenApiParameter("cursor", str, description="From `next` of the page before")
_PERIOD = [
    OpenApiParameter("from", str, description="First day, as 2026-11-01"),
    OpenApiParameter("to", str, description="Last day"),
]


def _number(asked: str, name: str, most: int = BIGGEST) -> int:
    if not (asked.isascii() and asked.isdigit() and len(asked) < 20 and 1 <= int(asked) <= most):
        raise BadInput(f"The {name} cannot be read.", [Fault(name, f"Write a number from 1 to {most}.")])
    return int(asked)


def _page(request: Request, rows: QuerySet[Any], show: Callable[[list[Any]], list[Any]]) -> Response:
    """One page in the order of ids; `next` leads on."""
    asked = request.query_params
    limit = _number(asked.get("limit") or str(PAGE), "limit", PAGE_LIMIT)
    if cursor := asked.get("cursor"):
        rows = rows.filter(pk__gt=_number(cursor, "cursor"))
    found = list(rows.order_by("pk")[: limit + 1])
    more = None
    if len(found) > limit:
        query = {**{k: v for k, v in asked.items() if k != "cursor"}, "cursor": found[limit - 1].pk}
        more = request.build_absolute_uri(f"{request.path}?{urlencode(query)}")
    return Response({"results": show(found[:limit]), "next": more})


def _listed(name: str, one: Any) -> Any:
    fields = {"results": one(many=True), "next": serializers.CharField(allow_null=True)}
    return inline_serializer(f"{name}Page", fields)


def _read(
    request: Request, kind: type[serializers.Serializer[Any]], *, partial: bool = False
) -> dict[str, Any]:
    if not isinstance(request.data, dict):
        raise BadInput("The body must be a JSON object.", [Fault("", "Send an object.")])
    body = kind(data=request.data, partial=partial)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


# Questions ---------------------------------------------------------------------------------


class QuestionIn(serializers.Serializer[Any]):
    """What a prospect said, and to whom."""

    text = serializers.CharField(max_length=log.LONGEST)
    kind = serializers.CharField(
        default=Question.Kind.QUESTION, max_length=12, help_text=f"One of {', '.join(Question.Kind.values)}"
    )
    lead_id = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=BIGGEST)
    email = serializers.CharField(required=False, allow_blank=True, max_length=254)
    handoff_id = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=BIGGEST)
    asked_by = serializers.CharField(
        required=False, allow_blank=True, max_length=254, help_text="The address of who heard it"
    )
    at = serializers.DateTimeField(required=False, allow_null=True)


class AnswerQuestionIn(serializers.Serializer[Any]):
    """The answer: a piece of content by its key, words, or both."""

    content = serializers.CharField(required=False, allow_blank=True, default="", max_length=80)
    text = serializers.CharField(required=False, allow_blank=True, default="", max_length=log.ANSWER_LONGEST)


class QuestionOut(serializers.Serializer[Any]):
    """One remark, the first of its like, and the answer."""

    id = serializers.IntegerField()
    text = serializers.CharField()
    kind = serializers.CharField()
    lead_id = serializers.IntegerField(allow_null=True)
    handoff_id = serializers.IntegerField(allow_null=True)
    asked_by = serializers.CharField()
    at = serializers.DateTimeField()
    group = serializers.IntegerField(help_text="The first question of its like")
    leads = serializers.IntegerField(help_text="How many leads said the like")
    content = serializers.CharField(allow_null=True, help_text="Key of the piece that answers it")
    answer = serializers.CharField(allow_blank=True)
    answered_at = serializers.DateTimeField(allow_null=True)
    wanted_by = serializers.DateField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True, help_text="By when marketing promised an answer")
    first_answer_at = serializers.DateTimeField(allow_null=True, help_text="When there first was one")


def _questions(rows: list[Question]) -> list[dict[str, Any]]:
    heads = [row.group or row for row in rows]
    counts = groups.counted(sorted({head.pk for head in heads}))
    return [
        {
            "id": row.pk,
            "text": row.text,
            "kind": row.kind,
            "lead_id": row.lead_id,
            "handoff_id": row.handoff_id,
            "asked_by": row.asked_by.email,
            "at": row.at,
            "group": head.pk,
            "leads": counts.get(head.pk, 1),
            "content": head.content.key if head.content else None,
            "answer": head.answer,
            "answered_at": head.answered_at,
            "wanted_by": head.wanted_by,
            "due_at": row.due_at,
            "first_answer_at": row.first_answer_at,
        }
        for row, head in zip(rows, heads, strict=True)
    ]


_ALL_QUESTIONS = Question.objects.select_related("content", "group__content", "asked_by")


class Questions(APIView):
    """What prospects ask, object and say about the market."""

    scopes = {"GET": "questions:read", "POST": "questions:write"}

    @extend_schema(
        operation_id="questions_list",
        parameters=[
            OpenApiParameter("kind", str, enum=list(Question.Kind.values)),
            OpenApiParameter("lead_id", int),
            OpenApiParameter("group", int, description="Only this one and its like"),
            _LIMIT,
            _CURSOR,
        ],
        responses=_listed("Questions", QuestionOut),
    )
    def get(self, request: Request) -> Response:
        """The remarks, the oldest first."""
        asked = request.query_params
        rows = _ALL_QUESTIONS
        if kind := asked.get("kind"):
            if kind not in Question.Kind.values:
                known = ", ".join(Question.Kind.values)
                raise BadInput("Unknown kind.", [Fault("kind", f"Known are: {known}.")])
            rows = rows.filter(kind=kind)
        if lead := asked.get("lead_id"):
            rows = rows.filter(lead=_number(lead, "lead_id"))
        if group := asked.get("group"):
            head = _number(group, "group")
            rows = rows.filter(group=head) | rows.filter(pk=head)
        return _page(request, rows, _questions)

    @extend_schema(
        operation_id="questions_log",
        request=QuestionIn(many=True),
        responses={
            202: inline_serializer(
                "QuestionsTaken",
                {
                    "accepted": serializers.IntegerField(),
                    "questions": QuestionOut(many=True),
                    "rejected": serializers.ListField(child=serializers.DictField()),
                },
            )
        },
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Write one down, or an array of them; good rows are kept, alike ones stand together."""
        rows = rows_of(request)
        wrong: list[tuple[int, list[Fault]]] = []
        read: list[tuple[int, dict[str, Any]]] = []
        for index, row in enumerate(rows):
            body = QuestionIn(data=row)
            if body.is_valid():
                read.append((index, dict(body.validated_data)))
            else:
                wrong.append((index, _faults(body.errors)))
        said = _said([values for _, values in read])
        taken = log.log_many(said, actor_of(request))
        wrong += [(read[index][0], faults) for index, faults in taken.rejected]
        made = list(_ALL_QUESTIONS.filter(pk__in=taken.made.values()).order_by("pk"))
        rejected = [
            {"index": index, "errors": told(faults)} for index, faults in sorted(wrong, key=lambda w: w[0])
        ]
        answer = {"accepted": len(made), "questions": _questions(made), "rejected": rejected}
        return Response(answer, status=202)


def _faults(errors: Any) -> list[Fault]:
    if not isinstance(errors, Mapping):
        return [Fault("", "A question is an object of names and values.")]
    return [
        Fault(str(name).replace("non_field_errors", ""), str(next(iter(words))))
        for name, words in errors.items()
    ]


def _said(rows: Sequence[dict[str, Any]]) -> list[log.Said]:
    """Rows with their leads and people looked up; an unknown one becomes an id that nobody has."""
    leads = dict(
        Lead.objects.filter(
            email_key__in=[fold(row["email"]) for row in rows if row.get("email")],
            erased_at=None,
            merged_into=None,
        ).values_list("email_key", "pk")
    )
    people = {
        fold(email): pk
        for email, pk in User.objects.filter(
            email__in=[row["asked_by"].strip().lower() for row in rows if row.get("asked_by")]
        ).values_list("email", "pk")
    }
    return [
        log.Said(
            row["text"],
            row["kind"],
            lead_id=row.get("lead_id") or (leads.get(fold(row["email"]), -1) if row.get("email") else None),
            handoff_id=row.get("handoff_id"),
            asked_by_id=people.get(fold(row["asked_by"]), -1) if row.get("asked_by") else None,
            at=row.get("at"),
        )
        for row in rows
    ]


class OneQuestion(APIView):
    """One remark."""

    scopes = {"GET": "questions:read"}

    @extend_schema(operation_id="questions_show", responses=QuestionOut)
    def get(self, request: Request, pk: int) -> Response:
        """With the answer to its like."""
        found = list(_ALL_QUESTIONS.filter(pk=min(pk, BIGGEST)))
        if not found:
            raise NotVisible
        return Response(_questions(found)[0])


class AnswerQuestion(APIView):
    """The answer to a question and its like."""

    scopes = {"POST": "questions:write"}

    @extend_schema(operation_id="questions_answer", request=AnswerQuestionIn, responses=QuestionOut)
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Who asked hears of it."""
        body = _read(request, AnswerQuestionIn)
        piece = Content.objects.filter(key=body["content"]).first() if body["content"] else None
        if body["content"] and piece is None:
            raise BadInput("There is no such piece.", [Fault("content", "Name a piece by its key.")])
        head = log.answer(
            min(pk, BIGGEST), actor_of(request), content_id=piece.pk if piece else None, text=body["text"]
        )
        return Response(_questions(list(_ALL_QUESTIONS.filter(pk=head.pk)))[0])


# Content -----------------------------------------------------------------------------------


class PieceChange(serializers.Serializer[Any]):
    """What changes of a piece; `active` false retires it."""

    title = serializers.CharField(max_length=200, min_length=3, required=False)
    url = serializers.CharField(required=False, allow_blank=True, max_length=500)
    stage = serializers.ChoiceField(list(library.STAGES), required=False, allow_blank=True)
    persona_key = serializers.CharField(required=False, allow_blank=True, max_length=40)
    question = serializers.CharField(required=False, allow_blank=True, max_length=500)
    active = serializers.BooleanField(required=False)


class PieceIn(PieceChange):
    """A piece of content; `key` names it for activities and stays."""

    title = serializers.CharField(max_length=200, min_length=3)
    key = serializers.CharField(required=False, allow_blank=True, max_length=80)


class PieceOut(serializers.Serializer[Any]):
    """A piece with the figures of the period (by default a year)."""

    key = serializers.CharField()
    title = serializers.CharField()
    url = serializers.CharField(allow_blank=True)
    stage = serializers.CharField(allow_blank=True)
    persona_key = serializers.CharField(allow_blank=True)
    question = serializers.CharField(allow_blank=True)
    active = serializers.BooleanField()
    asked = serializers.IntegerField(help_text="Leads who asked what it answers")
    handoffs = serializers.IntegerField(help_text="Handoffs in which it was sent")
    won = serializers.IntegerField(help_text="Leads won who had read it or were sent it before")
    revenue = serializers.FloatField(help_text="Of these deals; pieces share a deal")


def _pieces(rows: list[Content], request: Request) -> list[dict[str, Any]]:
    used = content_figures.used(read_filters(request.query_params.dict(), days=YEAR)) if rows else {}
    return [
        {name: getattr(row, name) for name in ("key", "active", *library.FIELDS)}
        | _used(used.get(row.pk, Used()))
        for row in rows
    ]


def _used(found: Used) -> dict[str, Any]:
    return {
        "asked": found.asked,
        "handoffs": found.handoffs,
        "won": found.won,
        "revenue": float(found.revenue),
    }


class Pieces(APIView):
    """The library of content."""

    scopes = {"GET": "content:read", "POST": "content:write"}

    @extend_schema(
        operation_id="content_list",
        parameters=[
            OpenApiParameter("active", bool, description="false: only retired ones; default: those in use"),
            OpenApiParameter("like", str, description="Only pieces that are like this question"),
            *_PERIOD,
            _LIMIT,
            _CURSOR,
        ],
        responses=_listed("Content", PieceOut),
    )
    def get(self, request: Request) -> Response:
        """Pieces with what they were used for."""
        rows = Content.objects.filter(active=request.query_params.get("active", "").lower() != "false")
        if text := request.query_params.get("like"):
            rows = rows.filter(pk__in=[row.pk for row in library.alike(text, 20)])
        return _page(request, rows, lambda found: _pieces(found, request))

    @extend_schema(operation_id="content_add", request=PieceIn, responses={201: PieceOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Add a piece."""
        made = library.add(_read(request, PieceIn), actor_of(request))
        return Response(_pieces([made], request)[0], status=201)


class OnePiece(APIView):
    """One piece, by its key."""

    scopes = {"GET": "content:read", "PATCH": "content:write"}

    @extend_schema(operation_id="content_show", parameters=_PERIOD, responses=PieceOut)
    def get(self, request: Request, key: str) -> Response:
        """With what it was used for."""
        return Response(_pieces([_by(Content, key=key)], request)[0])

    @extend_schema(operation_id="content_change", request=PieceChange, responses=PieceOut)
    def patch(self, request: Request, key: str) -> Response:
        """Change it; what is left out stays."""
        found = _by(Content, key=key)
        body = _read(request, PieceChange, partial=True)
        active = body.pop("active", None)
        found = library.change(found.pk, body, actor_of(request))
        if active is not None:
            found = library.retire(found.pk, actor_of(request), back=active)
        return Response(_pieces([found], request)[0])


def _by(model: type[Model], **name: str) -> Any:
    if any("\x00" in text for text in name.values()):
        raise NotVisible
    found = model._default_manager.filter(**name).first()
    if found is None:
        raise NotVisible
    return found


class SendIn(serializers.Serializer[Any]):
    """Which piece, by its key."""

    content = serializers.CharField(max_length=80)


class SendPiece(APIView):
    """The holder of a lead sends it a piece."""

    scopes = {"POST": "handoffs:write"}

    @extend_schema(
        operation_id="handoffs_send",
        request=SendIn,
        parameters=[IDEMPOTENCY],
        responses={
            (200, "application/json"): inline_serializer(
                "Sent",
                {
                    "handoff_id": serializers.IntegerField(),
                    "lead_id": serializers.IntegerField(),
                    "content": serializers.CharField(),
                    "at": serializers.DateTimeField(),
                    "mailto": serializers.CharField(),
                },
            ),
            **ACT_PROBLEMS,
        },
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """It is kept on the record; `mailto` opens the e-mail. A person of sales does it, no key."""
        piece = _by(Content, key=_read(request, SendIn)["content"])
        use = library.send(min(pk, BIGGEST), piece.pk, actor_of(request))
        return Response(
            {
                "handoff_id": use.handoff_id,
                "lead_id": use.lead_id,
                "content": piece.key,
                "at": use.at,
                "mailto": library.letter(use),
            }
        )


# Campaigns ---------------------------------------------------------------------------------


class CampaignChange(serializers.Serializer[Any]):
    """What changes of a campaign."""

    name = serializers.CharField(max_length=120, min_length=2, required=False)
    source = serializers.CharField(required=False, allow_blank=True, max_length=80)  # type: ignore[assignment]
    cost = serializers.DecimalField(14, 2, required=False, allow_null=True, min_value=Decimal(0))
    starts_on = serializers.DateField(required=False, allow_null=True)
    ends_on = serializers.DateField(required=False, allow_null=True)
    message_for_sales = serializers.CharField(required=False, allow_blank=True, max_length=2_000)


class CampaignIn(CampaignChange):
    """A campaign; `code` names it for leads and activities and stays."""

    name = serializers.CharField(max_length=120, min_length=2)
    code = serializers.CharField(required=False, allow_blank=True, max_length=80)


class CampaignOut(serializers.Serializer[Any]):
    """A campaign and what came of it."""

    code = serializers.CharField()
    name = serializers.CharField()
    source = serializers.CharField(allow_blank=True)  # type: ignore[assignment]
    cost = serializers.FloatField(allow_null=True)
    currency = serializers.CharField()
    starts_on = serializers.DateField(allow_null=True)
    ends_on = serializers.DateField(allow_null=True)
    message_for_sales = serializers.CharField(allow_blank=True)
    running = serializers.BooleanField()
    leads = serializers.IntegerField()
    mql = serializers.IntegerField()
    offered = serializers.IntegerField()
    accepted = serializers.IntegerField()
    customers = serializers.IntegerField()
    revenue = serializers.FloatField()
    cost_per = serializers.DictField(child=serializers.FloatField(allow_null=True))


def _campaigns(rows: list[Campaign]) -> list[dict[str, Any]]:
    now = clock.now()
    came = campaign_figures.came([row.pk for row in rows], now)
    shown = []
    for row in rows:
        found = came[row.pk]
        each = {step: found.cost_per(step, row.cost) for step in campaign_figures.STEPS}
        shown.append(
            {
                "code": row.code,
                "name": row.name,
                "source": row.source,
                "cost": None if row.cost is None else float(row.cost),
                "currency": row.currency,
                "starts_on": row.starts_on,
                "ends_on": row.ends_on,
                "message_for_sales": row.message_for_sales,
                "running": keeping.running(row, now.date()),
                **{step: getattr(found, step) for step in campaign_figures.STEPS},
                "revenue": float(found.revenue),
                "cost_per": {step: None if cost is None else float(cost) for step, cost in each.items()},
            }
        )
    return shown


class Campaigns(APIView):
    """What marketing runs."""

    scopes = {"GET": "campaigns:read", "POST": "campaigns:write"}

    @extend_schema(
        operation_id="campaigns_list",
        parameters=[_LIMIT, _CURSOR],
        responses=_listed("Campaigns", CampaignOut),
    )
    def get(self, request: Request) -> Response:
        """Campaigns with what came of them."""
        return _page(request, Campaign.objects.all(), _campaigns)

    @extend_schema(operation_id="campaigns_add", request=CampaignIn, responses={201: CampaignOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Add one."""
        made = keeping.add(_read(request, CampaignIn), actor_of(request))
        return Response(_campaigns([made])[0], status=201)


class OneCampaign(APIView):
    """One campaign, by its code."""

    scopes = {"GET": "campaigns:read", "PATCH": "campaigns:write"}

    @extend_schema(operation_id="campaigns_show", responses=CampaignOut)
    def get(self, request: Request, code: str) -> Response:
        """With what came of it."""
        return Response(_campaigns([_by(Campaign, code=code)])[0])

    @extend_schema(operation_id="campaigns_change", request=CampaignChange, responses=CampaignOut)
    def patch(self, request: Request, code: str) -> Response:
        """Change it; what is left out stays."""
        found = _by(Campaign, code=code)
        body = _read(request, CampaignChange, partial=True)
        return Response(_campaigns([keeping.change(found.pk, body, actor_of(request))])[0])


# Customers and outcomes without a lead ---------------------------------------------------------


class CustomerOut(serializers.Serializer[Any]):
    """Who became a customer."""

    lead_id = serializers.IntegerField()
    name = serializers.CharField()
    email = serializers.CharField(allow_blank=True)
    company = serializers.CharField(allow_blank=True)
    since = serializers.DateTimeField()
    undated = serializers.BooleanField()
    first_amount = serializers.FloatField(allow_null=True)
    revenue = serializers.FloatField()
    renewed = serializers.BooleanField()
    expanded = serializers.BooleanField()
    left_at = serializers.DateTimeField(allow_null=True)
    source = serializers.CharField(allow_blank=True)  # type: ignore[assignment]
    campaign = serializers.CharField(allow_blank=True)
    persona = serializers.CharField(allow_blank=True)
    rep = serializers.CharField(allow_blank=True)


class Customers(APIView):
    """Who became a customer."""

    scopes = {"GET": "outcomes:read"}

    @extend_schema(
        operation_id="customers_list",
        parameters=[
            OpenApiParameter("month", str, description="As 2026-10; instead of from and to"),
            *_PERIOD,
        ],
        responses=CustomerOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """Of a month, or from a day to a day (by default the last year); the latest first."""
        filters = read_filters(request.query_params.dict(), days=YEAR)
        if month := request.query_params.get("month"):
            filters = months.of_month(filters, month)
        rows = [dict(vars(row)) for row in months.customers(filters)]
        for row in rows:
            row["first_amount"] = None if row["first_amount"] is None else float(row["first_amount"])
            row["revenue"] = float(row["revenue"])
        return Response(rows)


class OneCustomer(APIView):
    """How a lead came to us."""

    scopes = {"GET": "outcomes:read"}

    @extend_schema(operation_id="customers_way", responses={200: dict[str, Any]})
    def get(self, request: Request, pk: int) -> Response:
        """First touch, conversion points, content, campaigns, time in each stage (seconds), outcomes."""
        found = way.way(min(pk, BIGGEST), clock.now())
        first = found.first
        return Response(
            {
                "lead_id": found.lead.pk,
                "first_source": found.lead.first_source,
                "first_touch": {"kind": first.kind.key, "at": first.occurred_at, "path": first.path}
                if first
                else None,
                "conversion_points": [
                    {"kind": act.kind.key, "at": act.occurred_at, "content": act.content and act.content.key}
                    for act in found.conversions
                ],
                "content": [
                    {"key": one.content.key, "at": one.at, "times": one.times, "sent_by": one.sent_by}
                    for one in found.read
                ],
                "campaigns": [
                    {"code": one.campaign.code, "from": one.start, "to": one.end, "first": one.first}
                    for one in found.campaigns
                ],
                "stages": [
                    {"stage": one.stage, "since": one.since, "seconds": int(one.time.total_seconds())}
                    for one in found.stages
                ],
                "outcomes": [
                    {
                        "kind": one.kind,
                        "at": one.at,
                        "undated": one.undated,
                        "amount": None if one.amount is None else float(one.amount),
                    }
                    for one in found.outcomes
                ],
            }
        )


class StrayOut(serializers.Serializer[Any]):
    """An outcome that named no lead we know."""

    id = serializers.IntegerField()
    source = serializers.CharField()  # type: ignore[assignment]
    said = serializers.DictField()
    reason = serializers.CharField()
    at = serializers.DateTimeField()


class MatchIn(serializers.Serializer[Any]):
    """Whose it is."""

    lead_id = serializers.IntegerField(min_value=1, max_value=BIGGEST)


class Strays(APIView):
    """Outcomes that named no lead we know."""

    scopes = {"GET": "outcomes:read"}

    @extend_schema(
        operation_id="outcomes_unmatched", parameters=[_LIMIT, _CURSOR], responses=_listed("Strays", StrayOut)
    )
    def get(self, request: Request) -> Response:
        """To be matched by hand, or sent again once the lead is there."""
        return _page(
            request,
            UnmatchedOutcome.objects.all(),
            lambda rows: [
                {
                    "id": row.pk,
                    "source": row.source,
                    "said": unmatched.said(row),
                    "reason": row.reason,
                    "at": row.at,
                }
                for row in rows
            ],
        )


class MatchStray(APIView):
    """Say whose an outcome is."""

    scopes = {"POST": "outcomes:write"}

    @extend_schema(
        operation_id="outcomes_match",
        request=MatchIn,
        responses=inline_serializer(
            "Matched",
            {
                "id": serializers.IntegerField(),
                "lead_id": serializers.IntegerField(),
                "kind": serializers.CharField(),
            },
        ),
    )
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """The outcome is taken as if it had named the lead."""
        body = _read(request, MatchIn)
        made: Outcome = unmatched.match(min(pk, BIGGEST), body["lead_id"], actor_of(request))
        return Response({"id": made.pk, "lead_id": made.lead_id, "kind": made.kind})
