"""In: spaCy's Docs. Out: the same with mentions in ``doc.spans`` and ``doc.ents``: the component ``vaner``.

    nlp = spacy.blank("en")
    nlp.add_pipe("vaner", config={"model": "vaner-smollm2-135m", "types": ["Disease"]})
    for doc in nlp.pipe(texts): ...

spaCy finds the factory by itself where vaner is installed (``spacy_factories`` in pyproject.toml).
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vaner
from vaner.document import Document
from vaner.errors import VanerError, near
from vaner.files import write_text
from vaner.integrations.spacy_spans import (
    ALIGNMENTS,
    ENTS,
    EXISTING,
    LOST,
    mark,
    mention_at,
    mention_of,
    set_ents,
)
from vaner.model.config import DEFAULT_MODEL
from vaner.prompting.extras import extra
from vaner.report import Report
from vaner.tagging.opened import Opened
from vaner.tagging.settings import TaggingSettings

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

log = logging.getLogger(__name__)
spacy = extra("spacy", "spacy", "nlp.add_pipe('vaner')")

NAME = "vaner"
_FILE = "vaner.json"
_NAMED = ("models", "types", "dataset", "min_score", "link", "kb")
# What is for files, or is said otherwise in a pipeline.
_OTHERS = ("existing", "word_scores", "dry_run", "show_prompt", "date", "flat", "conflicts")


class VanerPipe:
    """The component: tags texts in batches, and puts what is found at their tokens.

    Args:
        name: of the component.
        settings: what is computed.
        key: of the group in ``doc.spans``.
        ents: which mentions become entities where some share a token: those with the best ``score`` (of equal ones
            the longer, then the first), the ``longest`` (of equal ones the better), or ``none``.
        existing: entities that are there ``keep`` their tokens; or the mentions ``override`` those they overlap, or
            ``replace`` all.
        alignment: of a mention that is no whole tokens: ``expand`` it, ``contract`` it, or leave it out (``strict``).

    Raises:
        VanerError: an unknown rule; what `vaner.tagging.settings.TaggingSettings.check` refuses.

    Attributes:
        report: counts of this process, since it was made: mentions that are not exactly their tokens, those left out,
            those that are no entities. Every one left out is in ``doc.spans[key].attrs["left_out"]`` too.
    """

    def __init__(
        self,
        name: str,
        settings: TaggingSettings,
        *,
        key: str = NAME,
        ents: str = "score",
        existing: str = "keep",
        alignment: str = "expand",
    ) -> None:
        for option, given, known in (
            ("ents", ents, ENTS),
            ("existing_ents", existing, EXISTING),
            ("alignment", alignment, ALIGNMENTS),
        ):
            if given not in known:
                hint = near(given, known) or f"choose {', '.join(known)}"
                raise VanerError(f"{name}: {option} is {given!r} ({hint})")
        self.name, self.key, self.ents, self.existing, self.alignment = name, key, ents, existing, alignment
        self.opened = Opened(settings)
        self.report = Report()
        self._on_error: Callable[..., None] = spacy.util.raise_error

    @property
    def labels(self) -> tuple[str, ...]:
        """Types that are looked for, as far as it is known without loading the model."""
        return tuple(self.opened.types)

    def set_error_handler(self, handler: Callable[..., None]) -> None:
        """What is called with name, component, Docs and error where a Doc cannot be tagged; by default it is raised."""
        self._on_error = handler

    def get_error_handler(self) -> Callable[..., None]:
        """What `set_error_handler` set."""
        return self._on_error

    def __call__(self, doc: Doc) -> Doc:
        """Tag one Doc; many are read faster by `pipe`."""
        self._tag([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Tag Docs in input order.

        Args:
            stream: read as it is needed.
            batch_size: Docs that are read together; the model sorts them by length into batches of its own.
        """
        for docs in spacy.util.minibatch(stream, size=batch_size):
            yield from self._tagged(docs)

    def _tagged(self, docs: list[Doc]) -> list[Doc]:
        """The Docs that could be tagged; of the others the error handler is told, one by one."""
        try:
            self._tag(docs)
        except Exception as error:  # as spaCy's own components: its user says what becomes of an error
            if len(docs) > 1 and self._on_error is not spacy.util.raise_error:
                return [one for doc in docs for one in self._tagged([doc])]
            self._on_error(self.name, self, docs, error)
            return []
        return docs

    def _tag(self, docs: list[Doc]) -> None:
        before = set(self.report.counts)
        documents = [Document(str(number), doc.text) for number, doc in enumerate(docs)]
        for doc, tagged in zip(docs, self.opened.tag_documents(documents), strict=True):
            spans = mark(doc, tagged, self.key, self.alignment, self.report)
            set_ents(doc, spans, self.ents, self.existing, self.report)
        for kind in self.report.counts:
            if kind not in before and kind in LOST:
                log.warning(
                    "%s: %s: %s; more are counted in nlp.get_pipe(%r).report and kept in doc.spans[%r].attrs",
                    self.name,
                    kind,
                    self.report.first(kind),
                    self.name,
                    self.key,
                )

    def remarks(self) -> list[str]:
        """What a user should know of what this process tagged, a sentence each."""
        return [*self.opened.remarks(), *self.report.summary()]

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """What makes the component: its settings, and the hash of its model; not the model itself."""
        return json.dumps(self._said(), ensure_ascii=False, sort_keys=True).encode()

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> VanerPipe:
        """Compare what was saved with what this component is; what differs is warned of."""
        self._compare(json.loads(data), "the saved pipeline")
        return self

    def to_disk(self, path: str | os.PathLike, *, exclude: Iterable[str] = ()) -> None:
        """Write a folder with what `to_bytes` says; the model stays where it is, and is named."""
        for model in self.opened.settings.models:
            if Path(model).is_dir() and not Path(model).is_absolute():
                warnings.warn(
                    f"{self.name}: the saved pipeline names its model by a relative path, {model}, and loads only "
                    "where that leads to it; name the folder in full",
                    stacklevel=2,
                )
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / _FILE, json.dumps(self._said(), ensure_ascii=False, indent=1) + "\n")

    def from_disk(self, path: str | os.PathLike, *, exclude: Iterable[str] = ()) -> VanerPipe:
        """Compare the component with a saved one; what differs is warned of.

        Raises:
            VanerError: a folder that `to_disk` did not write, or a damaged one.
        """
        file = Path(path) / _FILE
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise VanerError(
                f"{file}: not what this component saves ({error}); save the pipeline again"
            ) from None
        self._compare(said, str(file))
        return self

    def _said(self) -> dict[str, Any]:
        rules = {"spans_key": self.key, "ents": self.ents}
        rules |= {"existing_ents": self.existing, "alignment": self.alignment}
        return {
            "vaner": vaner.__version__,
            "settings": self.opened.settings.to_dict(),
            "hashes": self.opened.settings.hashes(),
            **rules,
        }

    def _compare(self, saved: Any, where: str) -> None:
        if not isinstance(saved, dict) or not isinstance(saved.get("hashes"), dict):
            raise VanerError(f"{where}: not what the component {self.name} saves; save the pipeline again")
        now = self._said()
        changed = [name for name in now if saved.get(name) != now[name]]
        if "hashes" in changed:
            warnings.warn(
                f"{self.name}: {where} was made with another model: it had {_hashes(saved['hashes'])}, this is "
                f"{_hashes(now['hashes'])}; results may differ",
                stacklevel=3,
            )
        elif changed:
            warnings.warn(
                f"{self.name}: {where} was made with other settings ({', '.join(changed)}); those of the pipeline's "
                "config count",
                stacklevel=3,
            )


def _hashes(hashes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {str(digits)[:16] or 'without a hash'}" for name, digits in hashes.items())


@spacy.Language.factory(
    NAME,
    assigns=["doc.spans", "doc.ents", "token.ent_type", "token.ent_iob"],
    default_config={
        "model": DEFAULT_MODEL,
        "types": None,
        "dataset": None,
        "min_score": None,
        "link": False,
        "kb": None,
        "options": {},
        "spans_key": NAME,
        "ents": "score",
        "existing_ents": "keep",
        "alignment": "expand",
    },
)
def make(
    nlp: Language,
    name: str,
    model: str,
    types: list[str] | None,
    dataset: str | None,
    min_score: float | None,
    link: bool,
    kb: str | None,
    options: dict[str, Any],
    spans_key: str,
    ents: str,
    existing_ents: str,
    alignment: str,
) -> VanerPipe:
    """The component of a config.

    Args:
        nlp, name: given by spaCy.
        model: any name of a tagger (`vaner.tagging.loading.load`): a folder, ``vaner-smollm2-135m``, ``kb:open``,
            ``prompt:FILE``, ...
        types, dataset, min_score, link, kb: see `vaner.tagging.settings.TaggingSettings`; with ``link`` mentions get
            concept ids.
        options: other fields of these settings: ``device``, ``quantization``, ``batch_tokens``, ``max_words``, ...
        spans_key, ents, existing_ents, alignment: see `VanerPipe`.

    Raises:
        VanerError: what cannot work, before the model is loaded; it is loaded when the first text is tagged.
    """
    known = [one.name for one in fields(TaggingSettings) if one.name not in (*_NAMED, *_OTHERS)]
    for option in options:
        if option not in known:
            hint = near(option, known) or f"choose {', '.join(known)}"
            raise VanerError(f"{name}: options has no {option!r} ({hint})")
    settings = TaggingSettings(
        models=(model,),
        types=None if types is None else tuple(types),
        dataset=dataset,
        min_score=min_score,
        link=link,
        kb=kb,
        **options,
    )
    return VanerPipe(name, settings, key=spans_key, ents=ents, existing=existing_ents, alignment=alignment)


def to_document(doc: Doc, id: str, spans_key: str = NAME) -> Document:
    """A Doc as a Document, as which it can be written to every format (`vaner.formats.write`).

    Args:
        doc: of a pipeline with this component.
        id: of the Document.
        spans_key: the group with its mentions; all are taken, those that fit no tokens, too.

    Raises:
        VanerError: the Doc has no such group, or not one of this component.
    """
    attrs = doc.spans[spans_key].attrs if spans_key in doc.spans else {}
    if "mentions" not in attrs:
        raise VanerError(
            f"document {id}: doc.spans[{spans_key!r}] holds no mentions of the component vaner; add it to the pipeline"
        )
    said = [*attrs["mentions"], *attrs["left_out"]]
    return Document(id, doc.text, [mention_of(one, doc.text) for one in said])


def _extend() -> None:
    """``span._.vaner``: the mention behind a span of ``doc.spans`` or ``doc.ents``, a `vaner.Span`; else None."""
    spacy.tokens.Span.set_extension(NAME, getter=mention_at, force=True)


_extend()
