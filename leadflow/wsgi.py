"""The WSGI entry point."""

import os

from django.core.wsgi import get_wsgi_application
from django.template.loader import get_template
from django.urls import resolve

from leadflow import memory

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leadflow.settings")
application = get_wsgi_application()
# Before the workers are forked: they share what is loaded here, and nobody who comes first waits for it.
resolve("/")
get_template("base.html")
memory.settle()
