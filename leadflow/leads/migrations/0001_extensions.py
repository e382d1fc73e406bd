"""Trigrams, for searching names by any part of them."""

from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations


class Migration(migrations.Migration):

    dependencies: list[tuple[str, str]] = []
    operations = [TrigramExtension()]
