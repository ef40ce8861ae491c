"""In: documents, entity types, a tagger's name. Out: the documents with spans.

loading    a name -> a Tagger; start here
labeler    Vaner: the language model with a BIO head
stream     documents read ahead, in batches, by several threads
threads    a device -> how many batches are read at a time
decode     scores -> legal tags -> spans
"""
