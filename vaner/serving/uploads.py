"""In: the bytes of a file and what its sender calls it. Out: its Documents, read by `vaner.formats`.

The name is used for two things only: its extension says what format the file may have, and messages and ids repeat
what is left of it when only letters, digits, dot, dash and underscore are. The file lies in a folder of its own while
it is read.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats import detect, read
from vaner.report import Report
from vaner.serving.errors import RequestError

#: Formats of one file that is read as a stream of text. Those that are packed inside (Parquet, Arrow, zip) could
#: unpack to any size.
READ = ("bioc", "conll", "csv", "jats", "jsonl", "medline", "pubmed", "pubtator", "text")
_PACKED = (b"PK\x03\x04", b"PAR1", b"ARROW1", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"%PDF")
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 80


def plain(name: str) -> str:
    """What is left of a file's name: no folder, no odd character, no hidden file."""
    last = re.split(r"[/\\]", name)[-1].removesuffix(".gz")
    stem, dot, extension = last.rpartition(".")
    stem, extension = (_UNUSUAL.sub("_", part) for part in ((stem, extension) if dot else (last, "")))
    stem = stem.strip("._-")[:_LONGEST] or "upload"
    return f"{stem}.{extension[:20]}" if extension else stem


def documents(name: str, content: bytes, *, to_tag: bool, most: int) -> tuple[list[Document], list[str]]:
    """The documents of a file, and what was repaired or left out as it was read.

    Args:
        name: what the sender calls it.
        content: its bytes, unpacked.
        to_tag: their mentions will be replaced (`vaner.formats.read`).
        most: documents that it may have.

    Raises:
        RequestError: for a file that cannot be read, one of another kind, or one of too many documents.
    """
    if content.startswith(_PACKED):
        raise RequestError(
            "wrong_content_type",
            f"the file is packed or binary; send text in one of the formats {', '.join(READ)}, plain or .gz (python "
            "-m vaner convert turns others into these)",
        )
    shown = plain(name)
    report = Report()
    with tempfile.TemporaryDirectory(prefix="vaner-") as folder:
        path = Path(folder, shown)
        path.write_bytes(content)
        found: list[Document] = []
        try:
            format = detect(path)
            if format not in READ:
                raise VanerError(
                    f"{path}: {format} is not read here; send one of {', '.join(READ)} (python -m vaner convert turns "
                    "others into these)"
                )
            for document in read(path, format, report=report, to_tag=to_tag):
                found.append(document)
                if len(found) > most:
                    raise RequestError(
                        "too_large",
                        f"{shown}: has more than {most:,} documents; send it in parts, by /v1/tag/stream, or tag it "
                        "with predict.py",
                    )
        except VanerError as error:
            raise RequestError("invalid", _without(folder, str(error))) from None
        except RequestError:
            raise
        except (OSError, RecursionError, ValueError, LookupError, TypeError, ArithmeticError) as error:
            raise RequestError(
                "invalid",
                f"{shown}: cannot be read ({type(error).__name__}); check that it is whole and of its format",
            ) from None
        return found, [_without(folder, line) for line in report.summary()]


def _without(folder: str, message: str) -> str:
    """A message without where the file lies."""
    return message.replace(f"{folder}/", "").replace(folder, "")
