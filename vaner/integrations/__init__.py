"""In: a Tagger. Out: it, as other libraries expect their own parts: one file a library."""
