"""Data from elsewhere lies beside the checkout; without it these tests are left out, but never in CI."""

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared(name: str) -> Path:
    """The path of a shared file; leaves the test out where the folder is absent."""
    path = FOLDER / name
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"in CI the shared data must be there: {path.name}")
        pytest.skip(f"no shared data here: {path.name}")
    return path
