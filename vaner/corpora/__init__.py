"""In: names of corpora and splits. Out: their Documents, types canonical; counts; what training must leave out.

registry    data/corpora.yaml -> Corpus -> Documents of a split
ade         the one corpus with a format of its own
counting    a corpus -> how many documents, sentences, words and mentions it has
overlap     held-out splits -> which training documents share something with them
coverage    splits, an index -> how many of their mentions the index has
origin      the same -> which of its vocabularies look made from a corpus
"""
