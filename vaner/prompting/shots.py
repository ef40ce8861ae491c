"""In: a pool of examples, a unit and the types that are asked. Out: the shots that its prompt shows, in their order.

    choose: fixed       the same for every unit: those named, or those that a seed draws
    choose: random      drawn anew for every unit, by the seed and its text
    choose: bm25        the nearest by words they share
    choose: dense       the nearest by vectors of an encoder
    choose: coverage    one after the other the nearest with a mention of the type that is shown least
    choose: hard        the nearest without a mention of the asked types, rather those with a misleading name
    choose: {bm25: 4, hard: 1}

What coverage and hard call near is set by ``near``. A shot shows the mentions of the asked types only, and only those
examples are shown whose document annotates them all: that a type is not annotated is no evidence of its absence.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaner.errors import VanerError, near
from vaner.prompting.embedding import MINILM
from vaner.prompting.found import Mention
from vaner.prompting.retrieval.search import BY, Search
from vaner.prompting.shot_pool import Example, ShotPool
from vaner.prompting.unit import Unit

CHOOSE = ("fixed", "random", "bm25", "dense", "coverage", "hard")
NEAR = ("fixed", "random", "bm25", "dense")
ORDERS = ("nearest_last", "nearest_first", "random")

_LOOKED_AT = 50  # nearest examples without a mention, among which one with a misleading name is preferred


@dataclass(frozen=True)
class Shot:
    """An example as a prompt shows it.

    Attributes:
        unit: its words.
        mentions: of ``types``, by place.
        source: the example's id, such as ``bc5cdr:354896:2``.
        types: those of the asked types that its document annotates, in the order asked; all of them unless
            ``partial`` was set. The prompt must ask the shot for no others.
    """

    unit: Unit
    mentions: tuple[Mention, ...]
    source: str
    types: tuple[str, ...]


class Shots:
    """Chooses shots.

    Args:
        pool: what they are chosen from.
        k: how many; 0 for none. Where the pool has fewer that may be shown, there are fewer.
        choose: one of CHOOSE, or several and how many of each, which together are ``k``.
        order: in which they are shown. ``nearest_last`` shows what was chosen first last, nearest to the question, and
            the parts of a mix in reverse order, so that in ``{bm25: 4, hard: 1}`` the negative comes first.
        seed: of what is drawn, and of the order among equals.
        near: how ``coverage`` and ``hard`` order examples, one of NEAR.
        ids: examples that ``fixed`` takes first, in this order.
        partial: whether examples may be shown that annotate some of the asked types only, see `Shot.types`.
        embedder: the encoder, for ``dense``.

    Raises:
        VanerError: a wrong setting, or ids that are not in the pool.
    """

    def __init__(
        self,
        pool: ShotPool,
        k: int = 5,
        choose: str | Mapping[str, int] = "bm25",
        order: str = "nearest_last",
        seed: int = 0,
        *,
        near: str = "bm25",
        ids: Sequence[str] = (),
        partial: bool = False,
        embedder: str = MINILM,
    ) -> None:
        self.pool, self.k, self.order, self.seed = pool, k, order, seed
        self.mix = _mix(choose, k)
        self.near, self.ids, self.partial, self.embedder = near, tuple(ids), partial, embedder
        for name, value, known in (("order", order, ORDERS), ("near", near, NEAR)):
            if value not in known:
                raise VanerError(f"shots {name}: unknown {value!r}; choose one of {', '.join(known)}")
        self._named = [pool.number(id) for id in ids]
        if ids and "fixed" not in self._measures():
            raise VanerError(
                "shots ids: only choose: fixed takes examples by their ids; set it, or leave ids out"
            )
        self._searches = {by: Search(pool.texts, by, embedder) for by in BY if by in self._measures()}
        # Order among equals: without it the pool's first documents would be taken wherever nothing is shared.
        self._drawn = np.random.default_rng(seed).permutation(len(pool))
        self._fits: dict[frozenset[str], np.ndarray] = {}

    def _measures(self) -> set[str]:
        """Ways to order examples that are used."""
        return {self.near if one in ("coverage", "hard") else one for one in self.mix}

    @property
    def fingerprint(self) -> str:
        """Hash of the pool and of every setting."""
        told = [self.pool.fingerprint, self.k, list(self.mix.items()), self.order, self.seed]
        told += [self.near, self.ids, self.partial]
        told += [search.fingerprint for search in self._searches.values()]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def prepare(self) -> None:
        """Make what is searched in, so that processes that follow find it in the cache. `of` does so by itself."""
        for search in self._searches.values():
            search.open()

    def of(self, unit: Unit, types: Sequence[str]) -> list[Shot]:
        """The shots for a unit, the same whenever it is asked.

        Args:
            unit: what is asked about; examples of its document or with one of its sentences are not shown.
            types: that are asked.

        Raises:
            VanerError: no example annotates these types.
        """
        if not self.k:
            return []
        asked = frozenset(types)
        if asked not in self._fits:
            self._fits[asked] = self._fitting(asked)
        allowed = self._fits[asked].copy()
        for number in self.pool.same(unit):
            allowed[number] = False
        request = _Request(self, unit, tuple(types), allowed)
        chosen: list[int] = []
        for choose, count in self.mix.items():
            chosen += request.choose(choose, count, frozenset(chosen))
        if self.order == "nearest_last":
            chosen.reverse()
        elif self.order == "random":
            chosen = [chosen[i] for i in _generator(self.seed, unit, "order").permutation(len(chosen))]
        return [self._shot(self.pool.examples[number], types) for number in chosen]

    def _shot(self, example: Example, types: Sequence[str]) -> Shot:
        asked = tuple(type for type in types if type in example.types)
        return Shot(example.unit, example.of_types(asked), example.id, asked)

    def _fitting(self, types: frozenset[str]) -> np.ndarray:
        """Which examples may be shown to who is asked for these types; bool, shape ``(len(pool),)``."""
        fits = types.intersection if self.partial else types.issubset
        kinds = {kind: bool(fits(kind)) for kind in {example.types for example in self.pool.examples}}
        if not any(kinds.values()):
            have = "; ".join(sorted({", ".join(sorted(kind)) for kind in kinds})) or "nothing"
            together = " together" if len(types) > 1 and not self.partial else ""
            remedy = (
                "ask them one by one, or set partial: true"
                if together
                else "name a corpus that does, or set k: 0"
            )
            raise VanerError(
                f"shots: no corpus annotates {', '.join(sorted(types))}{together}; they annotate {have}; {remedy}"
            )
        return np.array([kinds[example.types] for example in self.pool.examples], bool)


def _mix(choose: str | Mapping[str, int], k: int) -> dict[str, int]:
    if k < 0:
        raise VanerError(f"shots k: {k} is below 0; set 0 for none")
    mix = {choose: k} if isinstance(choose, str) else dict(choose)
    for name, count in mix.items():
        if name not in CHOOSE:
            hint = near(name, CHOOSE) or f"choose one of {', '.join(CHOOSE)}"
            raise VanerError(f"shots choose: unknown {name!r}; {hint}")
        if not isinstance(count, int) or count < 0:
            raise VanerError(f"shots choose: {name}: {count!r} is no number of shots; write a whole number")
    if sum(mix.values()) != k:
        raise VanerError(f"shots choose: {sum(mix.values())} together, but k is {k}; make them agree")
    return mix


class _Request:
    """The choice for one unit."""

    def __init__(self, shots: Shots, unit: Unit, types: tuple[str, ...], allowed: np.ndarray) -> None:
        self._shots, self._unit, self._types, self._allowed = shots, unit, types, allowed
        self._ranked: dict[str, list[int]] = {}

    def choose(self, choose: str, count: int, taken: frozenset[int]) -> list[int]:
        """Numbers of examples, the first chosen first; none that is taken."""
        if choose == "coverage":
            return self._coverage(count, taken)
        if choose == "hard":
            return self._hard(count, taken)
        return _first(self._free(choose, taken), count)

    def _free(self, by: str, taken: frozenset[int]) -> Iterator[int]:
        """The examples that may be shown and are not taken, nearest first."""
        if by not in self._ranked:
            self._ranked[by] = self._rank(by)
        return (number for number in self._ranked[by] if number not in taken)

    def _rank(self, by: str) -> list[int]:
        shots, drawn = self._shots, self._shots._drawn
        if by == "fixed":
            named = dict.fromkeys(shots._named)
            order = np.array([*named, *(number for number in drawn.tolist() if number not in named)], int)
        elif by == "random":
            order = _generator(shots.seed, self._unit, "choice").permutation(len(shots.pool))
        else:
            scores = shots._searches[by].scores(self._unit.shown)
            order = drawn[np.argsort(-scores[drawn], kind="stable")]
        found: list[int] = order[self._allowed[order]].tolist()
        return found

    def _coverage(self, count: int, taken: frozenset[int]) -> list[int]:
        examples = self._shots.pool.examples
        shown = Counter({type: 0 for type in self._types})
        for number in taken:
            shown.update({m.type for m in examples[number].of_types(self._types)})
        waiting = {type: self._free_with(type, taken) for type in self._types}
        chosen: dict[int, None] = {}
        while len(chosen) < count and waiting:
            least = min(waiting, key=lambda type: (shown[type], self._types.index(type)))
            number = next((n for n in waiting[least] if n not in chosen), -1)
            if number < 0:
                del waiting[least]
                continue
            chosen[number] = None
            shown.update({m.type for m in examples[number].of_types(self._types)})
        rest = (n for n in self._free(self._shots.near, taken) if n not in chosen)
        return [*chosen, *_first(rest, count - len(chosen))]

    def _free_with(self, type: str, taken: frozenset[int]) -> Iterator[int]:
        examples = self._shots.pool.examples
        return (n for n in self._free(self._shots.near, taken) if examples[n].of_types([type]))

    def _hard(self, count: int, taken: frozenset[int]) -> list[int]:
        pool = self._shots.pool
        bare = (n for n in self._free(self._shots.near, taken) if not pool.examples[n].of_types(self._types))
        nearest = _first(bare, max(_LOOKED_AT, count))
        # Sorting is stable: among those with a misleading name, and among the others, the nearest stay first.
        return sorted(nearest, key=lambda n: pool.misleading(n).isdisjoint(self._types))[:count]


def _first(numbers: Iterator[int], count: int) -> list[int]:
    return [number for number, _ in zip(numbers, range(count), strict=False)]


def _generator(seed: int, unit: Unit, what: str) -> np.random.Generator:
    """What draws for a unit: by the seed and the unit's text, whatever was asked before."""
    told: Any = hashlib.sha256(f"{what} {seed} {unit.shown}".encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(int.from_bytes(told, "little"))


__all__ = ["CHOOSE", "NEAR", "ORDERS", "Shot", "ShotPool", "Shots"]
