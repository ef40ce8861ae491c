"""In: tokens of prompts. Out: which of them share a beginning, and what was read of beginnings before.

Instructions and examples are the same in every prompt of a run; they are read once. Requests that ask one type each
share less among all than among those of one type, so beginnings are looked for in groups:

    A B C | sentence 1        group of A B C: sentences 1, 2
    A B C | sentence 2
    A B D | sentence 1        group of A B D: sentences 1, 2
    A B D | sentence 2
"""

from __future__ import annotations

from collections.abc import Sequence

from vaner.prompting.backends.slots import Prefix

# A shared beginning that is shorter is read with each prompt: looking it up is no faster.
LEAST = 16


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two prompts have in common at their beginning."""
    most = min(len(one), len(other))
    low, high = 0, most
    while low < high:  # slices are compared much faster than their members one by one
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def groups(prompts: Sequence[Sequence[int]]) -> list[tuple[int, list[int]]]:
    """Prompts that share a beginning.

    Args:
        prompts: tokens of each, at least one.

    Returns:
        ``(length of the beginning, numbers of the prompts)``; each prompt is in one group and has at least one token
        beyond the beginning. Length 0 where nothing worth keeping is shared.
    """
    order = sorted(range(len(prompts)), key=lambda number: list(prompts[number]))
    found: list[tuple[int, list[int]]] = []

    def divide(members: list[int], known: int) -> None:
        length = shared(prompts[members[0]], prompts[members[-1]])  # sorted: so do all between
        length = min(length, len(prompts[members[0]]) - 1)
        length = length if length >= known + LEAST else known
        rest: list[int] = []
        start = 0
        while start < len(members):
            end = start + 1
            first = prompts[members[start]]
            while end < len(members) and shared(first, prompts[members[end]]) >= length + LEAST:
                end += 1
            if end - start > 1 and end - start < len(members) and len(first) > length + LEAST:
                divide(members[start:end], length)
            else:
                rest += members[start:end]
            start = end
        if rest:
            found.append((length, rest))

    if order:
        divide(order, 0)
    return found


class KeptPrefixes:
    """The beginnings that were read last, and what was read of them.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: list[Prefix] = []

    def longest(self, tokens: Sequence[int]) -> Prefix | None:
        """What of these tokens has been read, from the first on; None where hardly anything was."""
        wanted = tuple(tokens)
        best, length = None, LEAST - 1
        for prefix in self._kept:
            if (common := shared(wanted, prefix.tokens)) > length:
                best, length = prefix, common
        if best is None:
            return None
        self._kept.remove(best)
        self._kept.append(best)
        return best.cut(length)

    def keep(self, prefix: Prefix) -> None:
        """Keep a beginning; the one that was not asked for longest goes, and one that is part of this."""
        kept = [p for p in self._kept if prefix.tokens[: len(p.tokens)] != p.tokens]
        self._kept = [*kept, prefix][-self.most :] if self.most else []

    def forget(self) -> None:
        """Keep none: the weights have changed."""
        self._kept = []
