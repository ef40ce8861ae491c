"""In: three open vocabularies (see README.md). Out: vocabulary.tsv.gz, which the project ships.

python kb/open/make.py --kb_root FOLDER
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from vaner.files import replacing_text  # noqa: E402
from vaner.report import Report  # noqa: E402
from vaner.vocabularies.sources import read_sources  # noqa: E402

SOURCES = ("doid", "gene-human", "cell-ontology")
# Genes known only by a locus number or a clone say nothing that text would have.
_UNNAMED = re.compile(r"^(LOC\d+|[A-Z]+\d+[.-]\d.*|.*-AS\d*|MIR\d+.*|LINC\d+|.*P\d+)$")
_GENE_SYNONYMS = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kb_root", help="folder of the vocabularies (default: $VANER_KB)")
    args = parser.parse_args()
    known, report = read_sources(), Report()
    concepts = 0
    with replacing_text(HERE / "vocabulary.tsv.gz") as file:
        file.write("id\tname\ttype\n")
        for source in SOURCES:
            rows: dict[str, list[str]] = {}
            types: dict[str, str] = {}
            for term in known[source].terms(args.kb_root, report):
                names = rows.setdefault(term.id, [])
                types[term.id] = term.types[0]
                name = " ".join(term.name.split())
                if name not in names:
                    names.append(name)
            for identifier, names in rows.items():
                if source == "gene-human":
                    if _UNNAMED.match(names[0]):
                        continue
                    names = names[: 1 + _GENE_SYNONYMS]
                file.write("\t".join([identifier, names[0], types[identifier], *names[1:]]) + "\n")
                concepts += 1
    print(f"{HERE / 'vocabulary.tsv.gz'}: {concepts} concepts")


if __name__ == "__main__":
    main()
