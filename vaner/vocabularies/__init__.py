"""In: files of biomedical names, as their publishers write them. Out: Terms, one stream whatever the file.

sources     kb/sources.yaml, or a path -> Source, whose terms a reader streams
terms       Term, the one thing that every reader gives
umls, ontology, mesh, tables    the readers
"""
