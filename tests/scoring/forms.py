"""The forms of the agreement as a browser fills and sends them."""

from html.parser import HTMLParser

from django.http import QueryDict

FORM = "application/x-www-form-urlencoded"


class _Inputs(HTMLParser):
    """What a browser would send of the form in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[str, str]] = []
        self.select = ""
        self.chosen: list[str] = []
        self.first: str | None = None
        self.area: str | None = None
        self.text = ""

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "input" and name:
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                self.pairs.append((name, given.get("value") or ""))
        elif tag == "select":
            self.select, self.chosen, self.first = name, [], None
        elif tag == "option":
            value = given.get("value") or ""
            self.first = value if self.first is None else self.first
            if "selected" in given:
                self.chosen.append(value)
        elif tag == "textarea":
            self.area, self.text = name, ""

    def handle_data(self, data):
        if self.area is not None:
            self.text += data

    def handle_endtag(self, tag):
        if tag == "select" and self.select:
            self.pairs.append((self.select, self.chosen[0] if self.chosen else self.first or ""))
            self.select = ""
        elif tag == "textarea" and self.area is not None:
            self.pairs.append((self.area, self.text))
            self.area = None


def sent(html: str) -> QueryDict:
    """The form of a fragment as a browser sends it, with Done pressed."""
    reader = _Inputs()
    reader.feed(html)
    data = QueryDict(mutable=True)
    for name, value in reader.pairs:
        data.appendlist(name, value)
    data["act"] = "save"
    return data


def open_form(client, slot: str) -> str:
    kind, _, key = slot.partition("-")
    return client.get(f"/agreement/part/{kind}/{key}/").content.decode()


def save(client, slot: str, **fields):
    """Open the form of a part, change fields, press Done."""
    kind, _, key = slot.partition("-")
    data = sent(open_form(client, slot))
    for name, value in fields.items():
        data[name.replace("__", ".")] = value
    return client.post(
        f"/agreement/part/{kind}/{key}/", data.urlencode(), "application/x-www-form-urlencoded"
    )
