"""Small help for the agreement's templates."""

from collections.abc import Mapping
from typing import Any

from django import template

register = template.Library()


@register.filter
def get(mapping: Mapping[str, Any] | None, key: str) -> Any:
    """A member of a mapping by a name that is no plain word; None when it is not there."""
    return mapping.get(key) if mapping else None
