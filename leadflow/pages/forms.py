"""Forms of the settings."""

from typing import Any

from django import forms

from handoff.endpoints import events
from handoff.models import Calendar, WebhookEndpoint
from leadflow.accounts.forms import zone_choices
from leadflow.accounts.keys import SCOPES
from leadflow.accounts.models import Organisation, Role, Team, User
from leadflow.leads.catalogue import FLAGS
from leadflow.leads.models import ActivityKind, CustomField, WordList

CURRENCIES = [
    (code, code)
    for code in (
        "EUR",
        "USD",
        "GBP",
        "CHF",
        "INR",
        "JPY",
        "SEK",
        "NOK",
        "DKK",
        "PLN",
        "CZK",
        "AUD",
        "CAD",
        "BRL",
    )
]
PROPERTY_TYPES = [("text", "Text"), ("number", "Number"), ("boolean", "Yes or no")]
# Every activity has these of itself.
RESERVED_PROPERTIES = ("path", "campaign", "content", "channel", "result", "message_key")
SPARE_PROPERTIES = 4
DATE_ORDERS = [
    ("DMY", "24.11.2026 (day first)"),
    ("MDY", "11/24/2026 (month first)"),
    ("YMD", "2026-11-24 (year first)"),
]


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]
    """A person: who, which role, which team."""

    tz = forms.ChoiceField(label="Time zone", required=False, choices=lambda: zone_choices("as the team"))

    class Meta:
        model = User
        fields = ("name", "email", "role", "team", "tz", "capacity_open", "weight", "is_active")
        labels = {
            "capacity_open": "Room for open leads",
            "weight": "Share when leads are dealt out",
            "is_active": "May sign in",
        }
        help_texts = {
            "capacity_open": "Empty: as the agreement says. For sales only.",
            "weight": "2 gets twice as many as 1; 0 gets none.",
            "is_active": "Somebody who left is switched off, never deleted: the history names them.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        team = self.fields["team"]
        assert isinstance(team, forms.ModelChoiceField)
        team.empty_label = "no team"

    def clean_email(self) -> str:
        """Folded, so that one person cannot be made twice."""
        return str(self.cleaned_data["email"]).strip().casefold()


class TeamForm(forms.ModelForm):  # type: ignore[type-arg]
    """A team, the zone in which its days run, and the hours it works by."""

    tz = forms.ChoiceField(label="Time zone", choices=lambda: zone_choices("")[1:])
    calendar = forms.ModelChoiceField(
        Calendar.objects.all(),
        label="Working hours",
        required=False,
        empty_label="Mon to Fri, 09:00–12:30, 13:30–18:00",
    )

    class Meta:
        model = Team
        fields = ("name", "kind", "tz", "manager")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        manager = self.fields["manager"]
        assert isinstance(manager, forms.ModelChoiceField)
        manager.queryset = User.objects.filter(
            is_active=True, role__in=(Role.SALES_MANAGER, Role.MARKETING_MANAGER)
        )
        manager.empty_label = "nobody"


class CompanyForm(forms.ModelForm):  # type: ignore[type-arg]
    """The company that uses this LeadFlow."""

    tz = forms.ChoiceField(label="Time zone", choices=lambda: zone_choices("")[1:])
    currency = forms.ChoiceField(choices=CURRENCIES)
    date_order = forms.ChoiceField(label="Dates in files", choices=DATE_ORDERS)

    class Meta:
        model = Organisation
        fields = ("name", "currency", "tz", "country", "date_order")
        help_texts = {"country": "Two letters (DE, FR, IN): whose public holidays are kept."}

    def clean_country(self) -> str:
        """Two capital letters."""
        code = str(self.cleaned_data["country"]).strip().upper()
        if len(code) != 2 or not code.isalpha():
            raise forms.ValidationError("Two letters, as in DE or FR.")
        return code


class KeyForm(forms.Form):
    """A new API key."""

    name = forms.CharField(
        label="What will use it", max_length=80, help_text="The CRM, the website, a script of Mia’s."
    )
    scopes = forms.MultipleChoiceField(
        label="What it may do",
        choices=[(key, words) for key, words in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"}),
    )


class EndpointForm(forms.Form):
    """Where others hear from us, and of what."""

    name = forms.CharField(max_length=80, help_text="The CRM, the channel of team North.")
    shape = forms.ChoiceField(label="Kind", choices=WebhookEndpoint.Shape.choices)
    url = forms.CharField(
        label="Address",
        max_length=500,
        help_text="A public https address. For a chat: the address that its incoming webhook shows.",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off", "spellcheck": "false"}),
    )
    team = forms.ModelChoiceField(
        Team.objects.filter(kind=Team.Kind.SALES),
        label="Leads of",
        required=False,
        empty_label="all teams",
    )
    events = forms.MultipleChoiceField(
        label="What it hears of",
        choices=list(events.NAMES.items()),
        widget=forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"}),
    )
    active = forms.BooleanField(
        label="Switched on",
        required=False,
        initial=True,
        help_text="What happens while it is off is not told.",
    )


class FieldForm(forms.Form):
    """A company's own fact. Key and subject are asked once."""

    label = forms.CharField(max_length=80)
    key = forms.SlugField(
        max_length=50, help_text="Small letters and underscores; as it stands in files and in the API."
    )
    subject = forms.ChoiceField(label="Of the", choices=CustomField.Subject.choices)
    type = forms.ChoiceField(choices=CustomField.Type.choices)
    options = forms.CharField(
        label="Values to choose from",
        widget=forms.Textarea(attrs={"rows": 4}),
        required=False,
        help_text="One a line. Empty: any text.",
    )
    after_contact = forms.BooleanField(
        label="Written only after sales was in touch",
        required=False,
        help_text="Then it cannot score: it would reward what sales did, not what the lead is.",
    )

    def __init__(self, *args: Any, row: CustomField | None = None, **kwargs: Any) -> None:
        if row is not None:
            kwargs["initial"] = {
                "label": row.label,
                "type": row.type,
                "options": "\n".join(row.options),
                "after_contact": row.after_contact,
            }
        super().__init__(*args, **kwargs)
        if row is not None:
            del self.fields["key"], self.fields["subject"]

    def clean_key(self) -> str:
        """A key that rules can name."""
        return str(self.cleaned_data["key"]).replace("-", "_").casefold()

    def clean_options(self) -> list[str]:
        """Each once, in the order in which they were written."""
        return lines_of(self.cleaned_data["options"])


class KindForm(forms.Form):
    """A kind of activity. The key is asked once; properties are rows of a name and a type."""

    label = forms.CharField(max_length=80, help_text="As in “Price list asked for”.")
    phrase = forms.CharField(max_length=120, help_text="As in a lead’s story: “asked for the price list”.")
    key = forms.SlugField(max_length=40, help_text="Small letters and underscores; as the API sends it.")
    own_act = forms.BooleanField(
        label="The lead did it", required=False, help_text="Counts as active and as news for sales."
    )
    contact = forms.BooleanField(
        label="We contacted the lead", required=False, help_text="Has a channel and a result."
    )
    reply = forms.BooleanField(label="It is a reply", required=False, help_text="Nurture mails stop.")
    stop = forms.BooleanField(label="It says stop", required=False, help_text="No more nurture mails.")

    def __init__(self, *args: Any, row: ActivityKind | None = None, **kwargs: Any) -> None:
        properties = list(row.properties.items()) if row else []
        if row is not None:
            kwargs["initial"] = {"label": row.label, "phrase": row.phrase} | {
                flag: getattr(row, flag) for flag in FLAGS
            }
        super().__init__(*args, **kwargs)
        if row is not None:
            del self.fields["key"]
        count = len(properties) + SPARE_PROPERTIES
        for n in range(count):
            name, type_ = properties[n] if n < len(properties) else ("", "text")
            said = f"Property {n + 1}"
            self.fields[f"property{n}"] = forms.CharField(
                required=False,
                max_length=60,
                initial=name,
                widget=forms.TextInput(attrs={"aria-label": said, "placeholder": "name"}),
            )
            self.fields[f"type{n}"] = forms.ChoiceField(
                required=False,
                choices=PROPERTY_TYPES,
                initial=type_,
                widget=forms.Select(attrs={"aria-label": f"Type of {said.lower()}"}),
            )
        self.count = count

    def property_rows(self) -> list[tuple[Any, Any]]:
        """Name and type, side by side."""
        return [(self[f"property{n}"], self[f"type{n}"]) for n in range(self.count)]

    def clean_key(self) -> str:
        """A key that rules can name."""
        return str(self.cleaned_data["key"]).replace("-", "_").casefold()

    def clean(self) -> dict[str, Any]:
        """Read the rows into `properties`."""
        data: dict[str, Any] = super().clean() or {}
        found: dict[str, str] = {}
        for n in range(self.count):
            name = str(data.get(f"property{n}") or "").strip().casefold().replace(" ", "_")
            if not name:
                continue
            if not name.replace("_", "").isalnum():
                self.add_error(f"property{n}", "Letters, digits and underscores.")
            elif name in found or name in RESERVED_PROPERTIES:
                self.add_error(f"property{n}", f"“{name}” is there already.")
            found[name] = str(data.get(f"type{n}") or "text")
        data["properties"] = found
        return data


def lines_of(text: str) -> list[str]:
    """The lines of a text, trimmed, each once."""
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


class ListForm(forms.Form):
    """A word list, one entry a line."""

    label = forms.CharField(max_length=80)
    key = forms.SlugField(max_length=50, help_text="Small letters and underscores; rules name it.")
    entries = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 10}), required=False, help_text="One a line."
    )

    def clean_key(self) -> str:
        """A key that rules can name."""
        return str(self.cleaned_data["key"]).replace("-", "_").casefold()


def list_initial(row: WordList) -> dict[str, str]:
    """What the form of a list starts with."""
    return {"label": row.label, "key": row.key, "entries": "\n".join(str(entry) for entry in row.entries)}
