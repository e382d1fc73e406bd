"""The API of sales' answers."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from feedback import verdicts
from feedback.models import Dispute
from handoff.api import ACT_PROBLEMS, IDEMPOTENCY, HandoffOut, answer
from leadflow.accounts.api import actor_of, idempotent
from leadflow.errors import BadInput, Fault


class AnswerIn(serializers.Serializer[Any]):
    """Why sales says no, and until when."""

    reason_key = serializers.CharField(max_length=20)
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=5000)
    date = serializers.DateField(required=False, allow_null=True, default=None)


class QualifyIn(serializers.Serializer[Any]):
    """What makes it an opportunity."""

    amount = serializers.DecimalField(14, 2, required=False, allow_null=True, default=None, min_value=0)
    need = serializers.CharField(required=False, allow_blank=True, default="", max_length=5000)
    date = serializers.DateField(required=False, allow_null=True, default=None)


class WinIn(serializers.Serializer[Any]):
    """What was won."""

    amount = serializers.DecimalField(14, 2, required=False, allow_null=True, default=None, min_value=0)


class UndoIn(serializers.Serializer[Any]):
    """Nothing is needed to take an act back."""


class DisputeIn(serializers.Serializer[Any]):
    """Why it was a good lead after all."""

    comment = serializers.CharField(max_length=5000)


class SettleIn(serializers.Serializer[Any]):
    """What the sales manager decided."""

    result = serializers.ChoiceField(["stands", "overturned"])
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=5000)


class DisputeOut(serializers.ModelSerializer[Dispute]):
    """A dispute and what came of it."""

    class Meta:
        model = Dispute
        fields = (
            "handoff_id",
            "comment",
            "at",
            "due_at",
            "settled_at",
            "result",
            "settle_comment",
            "new_handoff_id",
        )


class _Act(APIView):
    """One act on a handoff: reads its body, calls `act`, shows what became of it and what may follow."""

    scopes = {"POST": "handoffs:write"}
    body: type[serializers.Serializer[Any]]
    # (handoff id, actor, what the body says) → the handoff, or the dispute that it is about.
    act: Callable[..., Any]

    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Do it once; the same Idempotency-Key gets the same answer."""
        if not isinstance(request.data, dict):
            raise BadInput("The body must be a JSON object.", [Fault("", "Send an object.")])
        body = self.body(data=request.data)
        body.is_valid(raise_exception=True)
        actor = actor_of(request)
        done = self.act(pk, actor, **body.validated_data)
        return Response(DisputeOut(done).data) if isinstance(done, Dispute) else answer(done, actor)


def _view(
    name: str, body_of: type[serializers.Serializer[Any]], call: Any, shown_as: Any = HandoffOut
) -> Any:
    """A view class for one act; `call(handoff_id, actor, **said)` carries it out."""

    class View(_Act):
        body = body_of
        act = staticmethod(call)

    View.__name__ = f"{name.capitalize()}Handoff"
    View.__doc__ = call.__doc__
    words = extend_schema(
        operation_id=f"handoffs_{name}",
        request=body_of,
        responses={(200, "application/json"): shown_as, **ACT_PROBLEMS},
        parameters=[IDEMPOTENCY],
        description=call.__doc__,
    )
    return extend_schema_view(post=words)(View)


def _settle(handoff_id: int, actor: Any, *, result: str, comment: str) -> Dispute:
    """The sales manager decides about a dispute: the answer stands, or the lead is offered again."""
    return verdicts.settle(handoff_id, actor, overturned=result == "overturned", comment=comment)


RejectHandoff = _view("reject", AnswerIn, verdicts.reject)
ReturnHandoff = _view("return", AnswerIn, verdicts.return_)
LoseHandoff = _view("lose", AnswerIn, verdicts.lose)
QualifyHandoff = _view("qualify", QualifyIn, verdicts.qualify)
WinHandoff = _view("win", WinIn, verdicts.win)
UndoHandoff = _view("undo", UndoIn, verdicts.undo)
DisputeHandoff = _view("dispute", DisputeIn, verdicts.dispute, DisputeOut)
SettleHandoff = _view("settle", SettleIn, _settle, DisputeOut)
