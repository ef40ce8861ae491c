"""In: spans, and the ids that a file gave them when it was read. Out: an id for each span, old ones kept.

Relations point at mentions by id, so a mention that is written back must keep its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vaner.document import Span


def renew(
    spans: Sequence[Span], before: Mapping[str, Sequence[int | str]], fresh: Iterable[str]
) -> list[str]:
    """The id of each span.

    Args:
        before: id -> ``[start, end, type]`` of the span that had it.
        fresh: ids for spans without one, in order; those of ``before`` are left out.
    """
    old: dict[tuple[int | str, ...], list[str]] = {}
    for name, key in before.items():
        old.setdefault(tuple(key), []).append(name)
    unused = (name for name in fresh if name not in before)
    return [old[span.key].pop(0) if old.get(span.key) else next(unused) for span in spans]
