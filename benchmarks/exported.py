"""In: a model and what ``python -m vaner export`` wrote of it. Out: on how many sentences of dev the two differ.

    python benchmarks/exported.py runs/shared exported --corpus ncbi-disease-pubtator --documents 40 --data_root CORPORA

The labeler tags each sentence by itself, in float32 and with argmax. What was exported is read as its card says, by
the card's own function, in a process that cannot import vaner. Exit status 1 where they differ.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from vaner.cli import guarded
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.tagging.labeler import Vaner
from vaner.text.segment import sentences

# Runs the card's code with its folder put in, on the texts of a file; prints the places of the mentions of each.
READER = """
import json, sys
sys.modules["vaner"] = None
code, texts = json.load(open(sys.argv[1], encoding="utf-8"))
exec(code)
print(json.dumps([[one[:2] for one in mentions(text)] for text in texts]))
"""


def main() -> int:
    args = _arguments()
    corpus = read_registry()[args.corpus]
    documents = list(corpus.documents("dev", args.data_root, on_error="skip"))[: args.documents]
    found = [one.text[start:end] for one in documents for start, end in sentences(one.text)]
    # Of a line break the labeler makes a border that no pipeline knows.
    texts = [text for text in found if text.strip() and "\n" not in text and "\t" not in text]
    tagger = Vaner.from_pretrained(
        args.model, dtype="float32", device="cpu", decoding="argmax", repeats=False
    )
    asked = [Document(str(number), text) for number, text in enumerate(texts)]
    tagged = tagger.tag_documents(asked, sorted(corpus.annotated), corpus.instruction_name)
    mine = [[[span.start, span.end] for span in one.spans] for one in tagged]
    theirs = read_by_transformers(Path(args.exported), texts)
    differ = [text for text, one, other in zip(texts, mine, theirs, strict=True) if one != other]
    print(f"{len(texts)} sentences, {sum(map(len, mine))} mentions; {len(differ)} sentences differ")
    for text in differ[:5]:
        print(f"  {text[:100]!r}")
    return 1 if differ else 0


def read_by_transformers(folder: Path, texts: list[str]) -> list[list[list[int]]]:
    """Start and end of what the card's function finds in each text."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)^print\(", card, re.DOTALL | re.MULTILINE)[1]
    code = code.replace('"path/to/this/folder"', repr(str(folder.resolve())))
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump([code, texts], file)
        file.flush()
        done = subprocess.run([sys.executable, "-c", READER, file.name], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise VanerError(f"{folder / 'README.md'}: its code fails ({reason}); export the model again")
    return json.loads(done.stdout)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder that train.py wrote")
    parser.add_argument("exported", help="folder that export wrote of it")
    parser.add_argument("--corpus", default="ncbi-disease-pubtator", help="whose dev split is read")
    parser.add_argument("--data_root", help="where the corpora are; default: $VANER_DATA")
    parser.add_argument("--documents", type=int, default=40)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(guarded(main))
