"""In: Terms of vocabularies. Out: a compiled index of them, and names found by, in and like a text.

rules       which names are junk
normalise   name or text -> normal words with offsets and hashes
compile     Term ... -> index file                                (store: the file itself)
index       index file -> KnowledgeBase: lookup, match, related, names of a type
match       names in texts; similar: names like a mention
vocabularies  which vocabulary has which names
linking     spans -> concept ids
dictionary  texts -> spans, by lookup alone: a Tagger
shipped     the name of an index -> its path; the shipped vocabulary, compiled once
"""

from vaner.knowledge.dictionary import DictionaryTagger
from vaner.knowledge.index import Entry, KnowledgeBase, Name, build
from vaner.knowledge.linking import Linker
from vaner.knowledge.match import Match
from vaner.knowledge.normalise import key_of, normalise, normalise_all
from vaner.knowledge.rules import Rules

__all__ = [
    "DictionaryTagger",
    "Entry",
    "KnowledgeBase",
    "Linker",
    "Match",
    "Name",
    "Rules",
    "build",
    "key_of",
    "normalise",
    "normalise_all",
]
