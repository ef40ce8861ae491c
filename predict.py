"""In: a file of documents, a model, entity types. Out: the same documents with spans, in another file."""

import sys

from vaner.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]], prog="predict.py"))
