"""In: documents, entity types, a tagger's name. Out: the documents with spans.

loading    a name -> a Tagger; start here
settings   TaggingSettings: all that a run computes -> its Tagger, made of those below
several    Taggers -> one; min_score, linked, existing, recorded: a Tagger -> one that does more (around, overlap)
identity   a name -> hash, plain name, types, before anything is loaded
labeler    Vaner: the language model with a BIO head
stream     documents read ahead, in batches, by several threads
threads    a device -> how many batches are read at a time
decode     scores -> legal tags -> spans
"""
