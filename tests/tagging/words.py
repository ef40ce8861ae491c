"""In: words and what they are. Out: a tagger that marks them, for tests of what stands around taggers."""

import re
from itertools import islice

from vaner.errors import VanerError


class Words:
    """Marks given words.

    Args:
        known: word -> type, or (type, score).
        ahead: documents that it reads at a time.
    """

    def __init__(self, known, *, ahead=1, datasets=None, allow_new_types=False, max_words=None):
        self.known = {w: t if isinstance(t, tuple) else (t, None) for w, t in known.items()}
        self.types = list(dict.fromkeys(type for type, _ in self.known.values()))
        self.datasets = datasets or {}
        self.max_words, self.allow_new_types = max_words, allow_new_types
        self.ahead = ahead
        self.asked = []

    def tag_documents(self, documents, types=None, dataset=None):
        if dataset is not None and dataset not in self.datasets:
            raise VanerError(f"dataset {dataset} is unknown here")
        self.asked.append((types, dataset))
        return self._run(iter(documents), self.types if types is None else types)

    def _run(self, stream, types):
        while batch := list(islice(stream, self.ahead)):
            for document in batch:
                yield document.with_spans(
                    document.span(*match.span(), type, score=score)
                    for word, (type, score) in self.known.items()
                    if type in types
                    for match in re.finditer(re.escape(word), document.text)
                )

    def remarks(self):
        return [f"{len(self.known)} words"]


def found(document):
    """Its spans as ``text/type``, in order."""
    return [f"{span.text}/{span.type}" for span in document.spans]
