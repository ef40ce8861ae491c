"""In: many documents, a tagger's settings. Out: what came of tagging them.

summary    tagged documents, one after the other -> counts, as a table and as JSON
"""
