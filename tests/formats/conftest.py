"""In: nothing. Out: the miniature files, the folder of the real corpora, and a maker of test files."""

import os
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"


@pytest.fixture
def data() -> Path:
    """The miniature files."""
    return DATA


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of the real corpora, from the environment variable VANER_DATA."""
    if not os.environ.get("VANER_DATA"):
        pytest.skip("VANER_DATA does not say where the corpora are")
    return Path(os.environ["VANER_DATA"])
