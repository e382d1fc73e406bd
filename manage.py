#!/usr/bin/env python
"""Django's command line for LeadFlow."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leadflow.settings")
    from leadflow import embedded

    # Before the settings load: they read the secret key and the address that this call provides.
    embedded.ensure_database()

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
