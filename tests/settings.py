"""The product's own settings, on servers of the test run's own."""

from tests import servers

servers.ensure()

from leadflow.settings import *  # noqa: E402, F403

# Tests stand still in time: what they write is settled at once.
CHANGES_LAG = 0
# The same way of keeping a password as the product's, at a thousandth of the effort: hundreds are kept here.
PASSWORD_HASHERS = ["tests.passwords.Quick"]
