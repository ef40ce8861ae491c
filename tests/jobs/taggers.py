"""In: documents. Out: the same with every capital marked: a tagger without a model that goes wrong as it is told."""

import os
import signal
import time
from dataclasses import dataclass

from vaner.document import Span
from vaner.errors import VanerError


@dataclass(frozen=True)
class Settings:
    """Settings of a tagger of capitals.

    Attributes:
        slow: seconds that each document takes.
        kills, raises: words; a document whose text has one kills the worker, or raises.
        once: a folder; each kills and raises only the first time a worker meets it there.
        refuses: what opening it says.
    """

    types: tuple = None
    dataset: str = None
    slow: float = 0.0
    kills: str = ""
    raises: str = ""
    once: str = ""
    refuses: str = ""

    def open(self):
        if self.refuses == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.refuses:
            raise VanerError(self.refuses)
        return Capitals(self)


class Capitals:
    types = ("Capital",)
    datasets = {}
    max_words = None
    allow_new_types = False
    tokens = padded_tokens = 0

    def __init__(self, settings):
        self.settings = settings

    def remarks(self):
        return []

    def tag_documents(self, documents, types=None, dataset=None):
        documents = list(documents)
        size = len(documents)  # tags say who shared a call: where units were cut otherwise, bytes differ
        for document in documents:
            time.sleep(self.settings.slow)
            self._accident(document.text)
            spans = [
                Span(i, i + 1, "Capital", c, size / 1000) for i, c in enumerate(document.text) if c.isupper()
            ]
            yield document.with_spans(spans)

    def _accident(self, text):
        for word, what in ((self.settings.kills, "kill"), (self.settings.raises, "raise")):
            if not word or word not in text:
                continue
            if self.settings.once:
                try:
                    os.close(os.open(os.path.join(self.settings.once, what), os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    continue
            if what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError(f"a {word}\nwas met")
