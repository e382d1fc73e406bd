"""Import activities from a file."""

from leadflow.leads.importing.commands import ImportCommand


class Command(ImportCommand):
    help = "Import activities from a CSV or .xlsx file; running it again makes no duplicates."
    kind = "activities"
