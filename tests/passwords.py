"""Argon2 at its least effort, for tests that keep passwords by the hundred."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Quick(Argon2PasswordHasher):
    """As the product's, in microseconds."""

    time_cost = 1
    memory_cost = 8
    parallelism = 1
