"""In: one word a line with a BIO-style tag, blank lines between sentences. Out: Documents; and back.

    Selegiline   B-Chemical        text:   Selegiline - induced\\nIt fell
    -            O                 words:  0-10       11-12 ...
    induced      O                 sentences: 0-20, 21-28
                                   span:   0-10 Chemical
    It           O
    fell         O

The spacing of the original text is gone from such files: a Document's text is its words joined by single
spaces, its sentences joined by line breaks.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import partial

from vaner.document import Document, Span
from vaner.errors import FormatError, VanerError
from vaner.files import decode, lines, replacing_text, stem
from vaner.formats.blocks import documents
from vaner.formats.lossy import tell
from vaner.report import Report

SCHEMES = ("iob1", "iob2", "iobes", "ioe")
REPAIRED = "tag sequence repaired"
_TAG = re.compile(r"([BIESLUMW])(?:-(.+))?")
# IOBES writes End and Single, BILOU Last and Unit; BMES writes Middle for Inside, BMEWO Whole for Single.
_SAME_ROLE = {"L": "E", "U": "S", "M": "I", "W": "S"}
_START = (b"-DOCSTART-", b"###MEDLINE:")
_NO_ID = {"", "O", "-X-", "X", "-", "_"}
_BLANK = " \t\r"
_COLUMNS = re.compile(r"[ \t]+")

Sentence = list[tuple[int, bytes]]
"""The numbered lines of one sentence."""


def read(
    path: str | os.PathLike,
    *,
    on_error: str,
    report: Report,
    scheme: str = "auto",
    tag_column: int = -1,
    type: str = "Entity",
    sentences_per_document: int = 1,
) -> Iterator[Document]:
    """Stream the Documents of a CoNLL file; one for each ``-DOCSTART-`` line, else for each sentence.

    Ids are what the ``-DOCSTART-`` line says, else ``<file stem>-<n>`` with n from 1.

    A tag sequence that breaks the scheme (I- without its B-, E- without a beginning) is read as CoNLL's
    own scorer reads it: the tag starts a mention. Each such place is counted and named in ``report``.

    Args:
        scheme: ``iob1`` (B- only between adjacent mentions of one type), ``iob2`` (B- starts every
            mention), ``iobes`` (also BILOU, BMES, BMEWO), ``ioe`` (E- ends mentions, nothing begins them), or
            ``auto``: iobes if the file has an S- tag, or E- and B-; ioe if it has E- and no B-; iob1 if
            no mention begins with B- except right after one of its type, and some begin with I-;
            else iob2. ``auto`` reads the file twice, so standard input needs the scheme named.
        tag_column: index of the tag's column; the last by default. The word is the first.
        type: the type of bare ``B`` and ``I`` tags.
        sentences_per_document: for running text without ``-DOCSTART-`` lines, how many consecutive
            sentences make a Document.

    Raises:
        FormatError: for a line with another number of columns than the first, an empty word or a tag
            that is none, with file and line.
    """
    if sentences_per_document < 1:
        raise VanerError(f"sentences_per_document={sentences_per_document} must be at least 1")
    if scheme == "auto":
        if str(path) == "-":
            raise VanerError(
                "standard input is read once, so its tag scheme cannot be detected; "
                f"name it, as in conll:scheme=iob2; one of {', '.join(SCHEMES)}"
            )
        scheme = detect_scheme(path, tag_column)
    elif scheme not in SCHEMES:
        raise VanerError(f"tag scheme {scheme!r} is unknown; choose auto, {', '.join(SCHEMES)}")
    layout = _Layout(path, tag_column, type)
    build = partial(_document, layout=layout, scheme=scheme, report=report)
    return documents(path, _blocks(path, sentences_per_document), build, on_error, report)


def detect_scheme(path: str | os.PathLike, tag_column: int = -1) -> str:
    """The scheme of a file, by the rule of :func:`read`."""
    starts_with_i = starts_with_b = has_b = has_e = False
    before = None
    for _, line in lines(path):
        line = line.rstrip(b" \t\r")
        if tag_column == -1 and line.endswith((b"\tO", b" O")):
            before = None  # most lines end here; splitting them is most of the time
            continue
        columns = line.split(b"\t") if b"\t" in line else line.split()
        if len(columns) < 2 or line.startswith(_START):
            before = None
            continue
        tag = columns[tag_column if -len(columns) <= tag_column < len(columns) else -1]
        role, of = tag[:1], tag[2:]
        has_b, has_e = has_b or role == b"B", has_e or role in (b"E", b"L")
        if role in (b"S", b"U", b"M", b"W") or has_b and has_e:
            return "iobes"
        if role == b"B":
            starts_with_b = starts_with_b or before != of
        elif role == b"I":
            starts_with_i = starts_with_i or before != of
        before = None if role == b"O" else of
    if has_e:
        return "ioe"
    return "iob1" if starts_with_i and not starts_with_b else "iob2"


class _Layout:
    """Splits lines into words and tags; all lines must have as many columns as the first.

    Args:
        path: the file, for messages.
        tag_column: index of the tag's column.
        default_type: the type of bare tags.
    """

    def __init__(self, path: str | os.PathLike, tag_column: int, default_type: str) -> None:
        self.path = path
        self.tag_column = tag_column
        self.default_type = default_type
        self.width = 0
        self.tags = {"O": ("O", "")}  # tag as written -> role (B, I, E, S or O) and type

    def word_and_tag(self, line: str, number: int) -> tuple[str, tuple[str, str]]:
        """The word, and its tag's role and type."""
        line = line.rstrip(_BLANK)
        columns = line.split("\t") if "\t" in line else _COLUMNS.split(line.lstrip(_BLANK))
        width = len(columns)
        if width != self.width:
            self._check_width(width, line, number)
        word, tag = columns[0], columns[self.tag_column]
        if not word:
            raise FormatError(
                f"{self.path}:{number}: the word column is empty; write the word or delete the line"
            )
        if tag not in self.tags:
            self.tags[tag] = self._split(tag, number)
        return word, self.tags[tag]

    def _check_width(self, width: int, line: str, number: int) -> None:
        where = f"{self.path}:{number}"
        if width < 2:
            raise FormatError(f"{where}: {line[:60]!r} has no tag column; each line needs a word and a tag")
        if self.width:
            raise FormatError(
                f"{where}: {width} columns where the lines before have {self.width}; add what is missing"
            )
        if not -width <= self.tag_column < width:
            raise FormatError(
                f"{where}: no column {self.tag_column} among {width}; choose another (conll:tag_column=1)"
            )
        self.width = width

    def _split(self, tag: str, number: int) -> tuple[str, str]:
        found = split_tag(tag, self.default_type)
        if found is None:
            raise FormatError(
                f"{self.path}:{number}: {tag!r} is no tag (O, B-Type, I-Type, E-Type, S-Type); "
                "if the tags stand in another column, say which, as in conll:tag_column=1 (from 0)"
            )
        return found


def split_tag(tag: str, default_type: str = "Entity") -> tuple[str, str] | None:
    """Role (B, I, E, S or O) and type of a tag of any scheme; None where it is no tag.

    Args:
        default_type: the type of bare tags.
    """
    if tag == "O":
        return "O", ""
    match = _TAG.fullmatch(tag)
    return None if match is None else (_SAME_ROLE.get(match[1], match[1]), match[2] or default_type)


def _blocks(
    path: str | os.PathLike, sentences_per_document: int
) -> Iterator[tuple[int, tuple[str, bytes, list[Sentence]]]]:
    """First line of each document, with its DOCSTART line, number in the file and sentences."""
    name, number = stem(path), 0
    first, header, in_document = 1, b"", False
    sentences: list[Sentence] = []
    sentence: Sentence = []

    def block() -> tuple[int, tuple[str, bytes, list[Sentence]]]:
        return first, (f"{name}-{number}", header, sentences)

    for at, line in lines(path):
        is_start = line.startswith(_START)
        if not is_start and line.strip(b" \t\r"):
            sentence.append((at, line))
            continue
        if sentence:
            if not sentences and not in_document:
                first = sentence[0][0]
            sentences.append(sentence)
            sentence = []
        if not in_document and sentences and (is_start or len(sentences) == sentences_per_document):
            number += 1
            yield block()
            sentences = []
        if is_start:
            if in_document:
                yield block()
            number += 1
            first, header, in_document, sentences = at, line, True, []
    if sentence:
        if not sentences and not in_document:
            first = sentence[0][0]
        sentences.append(sentence)
    if in_document:
        yield block()
    elif sentences:
        number += 1
        yield block()


def _document(
    line: int, block: tuple[str, bytes, list[Sentence]], layout: _Layout, scheme: str, report: Report
) -> Document:
    id, header, sentences = block
    path = layout.path
    id = _header_id(decode(header, f"{path}:{line}")) or id
    texts: list[str] = []
    words: list[tuple[int, int]] = []
    bounds, spans = [], []
    at = 0
    for sentence in sentences:
        begin, first_word = at, len(words)
        tags = []
        for number, entry in _decoded(sentence, path):
            word, tag = layout.word_and_tag(entry, number)
            tags.append(tag)
            words.append((at, at + len(word)))
            at += len(word) + 1
            texts += (word, " ")
        texts[-1] = "\n"
        bounds.append((begin, at - 1))
        found, breaks = mentions(tags, scheme)
        for index, message in breaks:
            report.warn(REPAIRED, f"{path}:{sentence[index][0]}: document {id}: {message}")
        for first, last, type in found:
            spans.append((words[first_word + first][0], words[first_word + last][1], type))
    text = "".join(texts[:-1])
    return Document(id, text, [Span(s, e, t, text[s:e]) for s, e, t in spans], sentences=bounds, words=words)


def _decoded(sentence: Sentence, path: str | os.PathLike) -> Iterable[tuple[int, str]]:
    try:
        entries = b"\n".join(entry for _, entry in sentence).decode("utf-8").split("\n")
    except UnicodeDecodeError:
        # Line by line, to name the bad one.
        return [(number, decode(entry, f"{path}:{number}")) for number, entry in sentence]
    return zip((number for number, _ in sentence), entries, strict=True)


def _header_id(header: str) -> str:
    rest = header.removeprefix("-DOCSTART-").removeprefix("###MEDLINE:")
    named = next((word for word in _COLUMNS.split(rest.strip(_BLANK)) if word not in _NO_ID), "")
    return named[1:-1] if named.startswith("(") and named.endswith(")") else named


def mentions(
    tags: list[tuple[str, str]], scheme: str
) -> tuple[list[tuple[int, int, str]], list[tuple[int, str]]]:
    """The mentions of one sentence and where its tags break the scheme.

    Args:
        tags: role (B, I, E, S, O) and type of each word.
        scheme: one of ``SCHEMES``.

    Returns:
        ``(first word, last word, type)`` of each mention, and ``(word, message)`` of each break. Mentions
        are cut as CoNLL-2000's ``conlleval`` cuts them; the scheme decides only what counts as a break.
    """
    found: list[tuple[int, int, str]] = []
    breaks: list[tuple[int, str]] = []
    begin: int | None = None  # the mention that the next I- or E- may continue
    open_type: str | None = None
    touching: str | None = None  # type of a mention that ended on the word before

    def close(last: int, ended: bool) -> None:
        nonlocal begin, open_type
        if begin is None or open_type is None:
            return
        found.append((begin, last, open_type))
        if scheme == "iobes" and not ended:
            breaks.append((last, f"the {open_type} mention ends without E-{open_type} or S-{open_type}"))
        begin = open_type = None

    for i, (role, type) in enumerate(tags):
        continues = role in "IE" and open_type == type
        if not continues:
            close(i - 1, ended=False)
            if role != "O":
                begin, open_type = i, type
            before = f"after {tags[i - 1][0]}-{tags[i - 1][1]}".removesuffix("-") if i else "at the start"
            if role in "IE" and scheme != "ioe" and not (scheme == "iob1" and role == "I"):
                breaks.append((i, f"{role}-{type} {before} starts a mention"))
            if role == "B" and scheme == "iob1" and touching != type:
                breaks.append((i, f"B-{type} {before}: IOB1 writes I- there"))
        if role in "ES":
            close(i, ended=True)
        touching = type if role != "O" else None
    close(len(tags) - 1, ended=False)
    return found, breaks


def write(
    path: str | os.PathLike, documents: Iterable[Document], *, report: Report, scheme: str = "iob2"
) -> int:
    """Write Documents as ``word<TAB>tag`` lines, each after a ``-DOCSTART-(id)`` line.

    Words and sentences are the Document's own, else those of :mod:`vaner.text.segment`. What one tag a word
    cannot say is counted in ``report``: a span that cuts a word is widened to whole words; a span that
    shares a word with a longer one is left out (equal lengths: the earlier stays); a span across a
    sentence border becomes one mention in each sentence.

    Args:
        scheme: ``iob2`` or ``iobes``.
    """
    if scheme not in ("iob2", "iobes"):
        raise VanerError(f"tag scheme {scheme!r} cannot be written; choose iob2 or iobes")
    count = 0
    with replacing_text(path) as file:
        for document in documents:
            tell(document, "CoNLL", {"sentences", "words"}, set(), path, report)
            id = _cell(document.id, f"{path}: document {document.id}: its id", report)
            file.write(f"-DOCSTART-({id})\tO\n\n")
            lines = []
            for sentence, tags in tagged_sentences(document, scheme, path, report):
                lines.append(" ".join(document.text[start:end] for start, end in sentence))
                for (start, end), tag in zip(sentence, tags, strict=True):
                    where = f"{path}: document {document.id}: the word at {start}-{end}"
                    file.write(f"{_cell(document.text[start:end], where, report)}\t{tag}\n")
                file.write("\n")
            if "\n".join(lines) != document.text:
                report.warn(
                    "text changed",
                    f"{path}: document {document.id}: CoNLL has words; the white space between them is not kept",
                )
            count += 1
    return count


def _cell(text: str, what: str, report: Report) -> str:
    """Text that fits in a column: white space, which would end it, becomes ``_``."""
    cell = re.sub(r"[ \t\r\n]", "_", text)
    if cell != text:
        report.warn(
            "white space in a column replaced", f"{what} {text[:60]!r} holds white space; written with _"
        )
    return cell


def tagged_sentences(
    document: Document, scheme: str, path: object, report: Report
) -> Iterator[tuple[list[tuple[int, int]], list[str]]]:
    """The words of each sentence, as ``(start, end)``, and their tags; see :func:`write`.

    Args:
        path: what the messages name.
    """
    # Imported here: reading files must not wait for the segmenter.
    from vaner.text import segment

    words = document.words
    if words is None:
        words = segment.words(document.text)
        if hidden := sum(map(len, document.text.split())) - sum(end - start for start, end in words):
            report.warn(
                "character that is never seen left out",
                f"{path}: document {document.id}: {hidden} outside of words, such as a zero-width space",
            )
    borders = document.sentences
    if borders is None:
        borders = segment.sentences(document.text, document.passages)
    words = sorted(word for word in words if word[0] < word[1])
    # A word belongs to the last sentence that starts at or before it, so that none is lost between two.
    starts = sorted({start for start, _ in borders})
    sentence_of = [bisect_right(starts, start) for start, _ in words]
    roles = ["O"] * len(words)
    for first, last, type in _aligned(document, words, path, report):
        pieces = [[first, first]]
        for i in range(first + 1, last + 1):
            if sentence_of[i] == sentence_of[i - 1]:
                pieces[-1][1] = i
            else:
                pieces.append([i, i])
        if len(pieces) > 1:
            report.warn(
                "span split at a sentence border",
                f"{path}: document {document.id}: the {type} span over words {first}-{last} "
                "crosses a sentence border",
            )
        for begin, end in pieces:
            for i in range(begin, end + 1):
                roles[i] = f"I-{type}"
            roles[begin] = f"B-{type}"
            if scheme == "iobes":
                roles[end] = f"E-{type}" if end > begin else f"S-{type}"
    begin = 0
    for i in range(1, len(words) + 1):
        if i == len(words) or sentence_of[i] != sentence_of[begin]:
            yield words[begin:i], roles[begin:i]
            begin = i


def _aligned(
    document: Document, words: list[tuple[int, int]], path: object, report: Report
) -> list[tuple[int, int, str]]:
    """First word, last word and type of the spans that can be written, longest first."""
    ends = [end for _, end in words]
    starts = [start for start, _ in words]
    taken: set[int] = set()
    kept = []
    for span in sorted(document.spans, key=lambda s: (s.start - s.end, s.start, s.type)):
        said = f"{path}: document {document.id}: {span.type} span {span.start}-{span.end} {span.text[:60]!r}"
        first = bisect_right(ends, span.start)
        last = bisect_right(starts, span.end - 1) - 1
        if first > last:
            report.warn("span dropped", f"{said} covers no word")
            continue
        if not taken.isdisjoint(range(first, last + 1)):
            report.warn("overlapping span dropped", f"{said} shares a word with a longer one")
            continue
        if (starts[first], ends[last]) != (span.start, span.end):
            report.warn("span widened to whole words", f"{said} became {starts[first]}-{ends[last]}")
        taken.update(range(first, last + 1))
        kept.append((first, last, _cell(span.type, f"{said}: its type", report)))
    return kept
