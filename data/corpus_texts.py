"""In: names of registered corpora. Out: JSON Lines of the texts of their train splits, without what was annotated.

    python data/corpus_texts.py texts.jsonl --corpus bc5cdr-pubtator nlm-gene drugprot --data_root CORPORA

For `python -m vaner distil --input`: a teacher reads what these corpora did not annotate. An id becomes
``corpus:id``; a PubMed id stays in ``metadata.pmid``. What is too short to be an abstract, or too long, is left out and
counted.
"""

import argparse
import json
import sys
from collections import Counter

from vaner.cli import guarded
from vaner.cli.options import add_data_root
from vaner.corpora.overlap import with_pmid
from vaner.corpora.own import all_corpora, named
from vaner.errors import VanerError
from vaner.files import replacing_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", help="file to write")
    parser.add_argument("--corpus", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--least", type=int, default=200, metavar="CHARACTERS", help="default: %(default)s")
    parser.add_argument("--most", type=int, default=6000, metavar="CHARACTERS", help="default: %(default)s")
    add_data_root(parser)
    args = parser.parse_args()
    known = all_corpora(None)
    corpora = [named(name, known, "skip") for name in args.corpus]
    for corpus in corpora:
        corpus.paths("train", args.data_root)
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    with replacing_text(args.output) as file:
        for corpus in corpora:
            for document in corpus.documents("train", args.data_root, "skip"):
                if not args.least <= len(document.text) <= args.most:
                    counts["too short or too long"] += 1
                elif document.text in seen:
                    counts["said already"] += 1
                else:
                    seen.add(document.text)
                    counts["written"] += 1
                    pmid = with_pmid(document).metadata.get("pmid")
                    record = {"id": f"{corpus.name}:{document.id}", "text": document.text}
                    if pmid:
                        record["metadata"] = {"pmid": pmid}
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
        if not counts["written"]:
            raise VanerError("--corpus: no text of an abstract's length; name others, or change --least")
    print(f"{args.output}: " + ", ".join(f"{number:,} {what}" for what, number in counts.items()))


if __name__ == "__main__":
    sys.exit(guarded(main))
