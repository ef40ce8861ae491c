"""In: vocabularies of biomedical names. Out: a compiled index of them, and names found by, in and like a text.

sources     kb/sources.yaml or a path -> Source -> Term ...      (rrf, ontology, mesh, tables: the readers)
rules       which names are junk
normalise   name or text -> normal words with offsets and hashes
compile     Term ... -> index file                                (store: the file itself)
index       index file -> KnowledgeBase: lookup, match, related, names of a type
linking     spans -> concept ids
dictionary  texts -> spans, by lookup alone
"""

from vaner.knowledge.dictionary import DictionaryTagger
from vaner.knowledge.index import Entry, KnowledgeBase, Name, build
from vaner.knowledge.linking import Linker
from vaner.knowledge.match import Match
from vaner.knowledge.normalise import key_of, normalise, normalise_all
from vaner.knowledge.rules import Rules
from vaner.knowledge.sources import Source, data_folder, registry, resolve, semantic_types
from vaner.knowledge.terms import Term

__all__ = [
    "DictionaryTagger",
    "Entry",
    "KnowledgeBase",
    "Linker",
    "Match",
    "Name",
    "Rules",
    "Source",
    "Term",
    "build",
    "data_folder",
    "key_of",
    "normalise",
    "normalise_all",
    "registry",
    "resolve",
    "semantic_types",
]
