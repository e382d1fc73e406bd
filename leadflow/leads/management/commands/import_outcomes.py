"""Import outcomes from a file."""

from leadflow.leads.importing.commands import ImportCommand


class Command(ImportCommand):
    help = "Import outcomes from a CSV or .xlsx file; running it again makes no duplicates."
    kind = "outcomes"
