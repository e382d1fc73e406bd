"""The WSGI entry point."""

import os

from django.core.wsgi import get_wsgi_application

from leadflow import memory

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leadflow.settings")
application = get_wsgi_application()
# Before the workers are forked: they share what is loaded here.
memory.settle()
