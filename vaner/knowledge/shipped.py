"""placeholder until the vocabulary lands"""

from pathlib import Path

OPEN, NO_INDEX = "open", "none"


def named_index(name):
    if name in (None, NO_INDEX):
        return None
    return Path(name)
