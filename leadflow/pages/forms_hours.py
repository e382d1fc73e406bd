"""Forms of working hours and absence."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

from django import forms

from handoff import absences, calendars
from handoff.models import Calendar, CalendarDay
from leadflow.accounts.forms import zone_choices
from leadflow.accounts.models import Team, User
from leadflow.numbers import whole

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MOST_DAYS = 62
# In a form whose own field is called so.
Day = date
KINDS = (
    ("closed", "closed all day"),
    ("morning", "half a day: the morning"),
    ("afternoon", "half a day: the afternoon"),
    ("hours", "hours of its own"),
    ("open", "open as every week, on a holiday too"),
)


class HoursForm(forms.ModelForm):  # type: ignore[type-arg]
    """Working hours: one line a weekday, "09:00-12:30, 13:30-18:00"; empty is closed."""

    tz = forms.ChoiceField(label="Time zone", choices=lambda: zone_choices("")[1:])
    country = forms.ChoiceField(
        label="Public holidays of",
        required=False,
        choices=lambda: [("", "none"), *calendars.countries().items()],
        help_text="They are days off.",
    )
    region = forms.ChoiceField(
        label="Region", required=False, help_text="Where holidays differ within the country."
    )

    class Meta:
        model = Calendar
        fields = ("name", "tz", "country", "region")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        country = self.data.get("country", "") if self.is_bound else self.initial.get("country", "")
        region = self.fields["region"]
        assert isinstance(region, forms.ChoiceField)
        region.choices = region_choices(country)
        week = self.instance.week or {}
        for number, name in enumerate(DAYS):
            spans = week.get(str(number), [])
            self.fields[f"day{number}"] = forms.CharField(
                label=name,
                required=False,
                max_length=80,
                initial=", ".join(f"{start}-{end}" for start, end in spans),
                widget=forms.TextInput(attrs={"placeholder": "closed"}),
            )

    def week_fields(self) -> list[Any]:
        """The seven lines."""
        return [self[f"day{number}"] for number in range(7)]

    def clean(self) -> dict[str, Any]:
        """Read the seven lines into `week`."""
        data: dict[str, Any] = super().clean() or {}
        week = {}
        for number in range(7):
            try:
                week[str(number)] = read_spans(str(data.get(f"day{number}", "")))
            except ValueError as fault:
                self.add_error(f"day{number}", str(fault))
        if not any(week.values()) and not self.errors:
            self.add_error("day0", "At least one day must be open: a clock that never runs promises nothing.")
        data["week"] = week
        return data


def region_choices(country: str) -> list[tuple[str, str]]:
    """The regions of a country to choose from, the whole country first."""
    return [("", "the whole country"), *calendars.regions(country).items()]


class DayForm(forms.Form):
    """Days of their own in a calendar: closed, half a day, or other hours; one date or several."""

    date = forms.DateField(label="Day", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(
        label="Until",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Empty: one day.",
    )
    kind = forms.ChoiceField(label="That day is", choices=KINDS, required=False)
    hours = forms.CharField(
        label="Hours", required=False, max_length=80, help_text="For hours of its own: 09:00-14:00."
    )
    label = forms.CharField(
        label="Why", required=False, max_length=CalendarDay._meta.get_field("label").max_length
    )

    def __init__(self, *args: Any, today: Day, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.today = today

    def clean(self) -> dict[str, Any]:
        """Read the hours; days lie ahead, because a change holds for promises made after it."""
        data: dict[str, Any] = super().clean() or {}
        first, last = data.get("date"), data.get("until") or data.get("date")
        if first and first < self.today:
            self.add_error("date", "That day has passed; hours hold for promises made after they change.")
        elif first and last and last < first:
            self.add_error("until", "The last day lies before the first.")
        elif first and last and (last - first).days >= MOST_DAYS:
            self.add_error("until", f"At most {MOST_DAYS} days at once.")
        try:
            data["spans"] = read_spans(str(data.get("hours", "")))
        except ValueError as fault:
            self.add_error("hours", str(fault))
        data["kind"] = data.get("kind") or ("hours" if data.get("hours") else "closed")
        if data["kind"] == "hours" and not data.get("spans") and "hours" not in self.errors:
            self.add_error("hours", "Write the hours of that day, or say that it is closed.")
        return data


class AbsenceForm(forms.Form):
    """Somebody of sales will be away: from when to when, by half days."""

    user = forms.ModelChoiceField(User.objects.none(), label="Who", empty_label=None)
    first = forms.DateField(label="First day", widget=forms.DateInput(attrs={"type": "date"}))
    from_middle = forms.BooleanField(label="from midday only", required=False)
    last = forms.DateField(label="Last day", widget=forms.DateInput(attrs={"type": "date"}))
    until_middle = forms.BooleanField(label="until midday only", required=False)
    reason = forms.ChoiceField(label="Why", choices=[(word, word) for word in absences.REASONS])

    def __init__(self, *args: Any, people: Sequence[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.fields["user"]
        assert isinstance(user, forms.ModelChoiceField)
        user.queryset = User.objects.filter(pk__in=[one.pk for one in people]).order_by("name")
        user.initial = people[0].pk if people else None
        if len(people) < 2:
            user.widget = forms.HiddenInput()

    def plan(self) -> absences.Plan:
        """What the form wants."""
        data = self.cleaned_data
        return absences.Plan(
            data["first"], data["last"], data["from_middle"], data["until_middle"], data["reason"]
        )


class TeamHoursForm(forms.Form):
    """By which hours each team works."""

    def __init__(self, *args: Any, teams: Sequence[Team], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.teams = teams
        for team in teams:
            given = getattr(team, "team_calendar", None)
            self.fields[f"team{team.pk}"] = forms.ModelChoiceField(
                Calendar.objects.order_by("name"),
                label=team.name,
                required=False,
                empty_label="standard week, no holidays",
                initial=given.calendar_id if given else None,
            )

    def chosen(self) -> list[tuple[Team, Calendar | None]]:
        """Each team with its calendar."""
        return [(team, self.cleaned_data[f"team{team.pk}"]) for team in self.teams]


def read_spans(text: str) -> list[list[str]]:
    """Reads "09:00-12:30, 13:30-18:00" as [["09:00", "12:30"], …]. Raises ValueError in words."""
    spans = []
    for part in text.replace("–", "-").replace(";", ",").split(","):
        if not part.strip():
            continue
        start, dash, end = (piece.strip() for piece in part.partition("-"))
        if not dash:
            raise ValueError("Write hours as 09:00-12:30, 13:30-18:00.")
        spans.append([_clock_time(start), _clock_time(end)])
    spans.sort()
    for start, end in spans:
        if start >= end:
            raise ValueError(f"{start} to {end} ends before it begins.")
    for (_, before), (after, _) in pairwise(spans):
        if after < before:
            raise ValueError("The hours overlap.")
    # Calendars write the end of the day as the midnight that follows.
    return [[start, "00:00" if end == "24:00" else end] for start, end in spans]


def _clock_time(text: str) -> str:
    hours, _, minutes = text.partition(":")
    hour, minute = whole(hours), whole(minutes or "0")
    if hour is None or minute is None:
        raise ValueError(f"“{text[:40]}” is not a time of day.")
    if hour == 24 and minute == 0:
        return "24:00"
    if hour > 23 or minute > 59:
        raise ValueError(f"“{text}” is not a time of day.")
    return f"{hour:02d}:{minute:02d}"


def days_of(first: date, last: date | None) -> list[date]:
    """Every date from the first to the last."""
    return [first + timedelta(days=n) for n in range(((last or first) - first).days + 1)]


def today_in(zone: tzinfo, at: datetime) -> date:
    """The date in a zone."""
    return at.astimezone(zone).date()
