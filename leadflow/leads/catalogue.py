"""The kinds of activity that ship. A company adds its own; these keep their keys and flags."""

from typing import Any

from leadflow.leads.models import ActivityKind

_TEXT, _NUMBER = "text", "number"

# key: (label, phrase in a timeline, flags, typed properties)
SHIPPED: dict[str, tuple[str, str, set[str], dict[str, str]]] = {
    "page_view": ("Page view", "viewed a page", {"own_act"}, {"title": _TEXT, "referrer": _TEXT}),
    "visit": ("Visit", "came to the site", {"own_act"}, {"referrer": _TEXT}),
    "form": ("Form", "sent a form", {"own_act"}, {"form": _TEXT, "text": _TEXT}),
    "email_sent": ("E-mail sent", "was sent an e-mail", set(), {"subject": _TEXT}),
    "email_opened": ("E-mail opened", "opened an e-mail", set(), {"subject": _TEXT}),
    "email_clicked": (
        "E-mail clicked",
        "clicked in an e-mail",
        {"own_act"},
        {"subject": _TEXT, "link": _TEXT},
    ),
    "email_replied": ("E-mail answered", "answered an e-mail", {"own_act", "reply"}, {"text": _TEXT}),
    "email_bounced": ("E-mail bounced", "could not be reached by e-mail", set(), {"hard": "boolean"}),
    "email_unsubscribed": ("Unsubscribed", "unsubscribed", {"stop"}, {}),
    "download_educational": ("Educational download", "downloaded a guide", {"own_act"}, {"title": _TEXT}),
    "download_buying": ("Buying download", "downloaded buying content", {"own_act"}, {"title": _TEXT}),
    "webinar_registered": ("Webinar registration", "registered for a webinar", {"own_act"}, {"title": _TEXT}),
    "webinar_attended": (
        "Webinar attended",
        "attended a webinar",
        {"own_act"},
        {"title": _TEXT, "minutes": _NUMBER},
    ),
    "show_scan": ("Badge scan", "had the badge scanned at a show", set(), {"show": _TEXT}),
    "show_talk": ("Booth talk", "talked to us at a show", {"own_act"}, {"show": _TEXT, "text": _TEXT}),
    "trial_started": ("Trial", "started a trial", {"own_act"}, {"seats": _NUMBER}),
    "demo_requested": ("Demo request", "asked for a demo", {"own_act"}, {"form": _TEXT, "text": _TEXT}),
    "question": ("Question", "asked a question", {"own_act"}, {"text": _TEXT, "channel": _TEXT}),
    "social_share": ("Share", "shared us", {"own_act"}, {"network": _TEXT}),
    "social_follow": ("Follow", "followed us", {"own_act"}, {"network": _TEXT}),
    "call": ("Call", "was called by us", {"contact"}, {"note": _TEXT}),
    "meeting": ("Meeting", "met us", {"contact"}, {"note": _TEXT}),
    "message": ("Personal message", "was written to by us", {"contact"}, {"note": _TEXT}),
}
FLAGS = ("own_act", "contact", "reply", "stop")


def ensure_kinds(**_: Any) -> None:
    """Write the shipped kinds that are missing; runs after each migrate, also on an emptied test database."""
    ActivityKind.objects.bulk_create(
        [
            ActivityKind(
                key=key,
                label=label,
                phrase=phrase,
                properties=properties,
                shipped=True,
                **{flag: flag in flags for flag in FLAGS},
            )
            for key, (label, phrase, flags, properties) in SHIPPED.items()
        ],
        ignore_conflicts=True,
    )
