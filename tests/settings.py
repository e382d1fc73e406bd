"""The product's own settings, on servers of the test run's own."""

from tests import servers

servers.ensure()

from leadflow.settings import *  # noqa: E402, F403
