"""In: a study's file: arms, corpora, seeds, a budget. Out: its cells, each run once; what they say, with a page."""
