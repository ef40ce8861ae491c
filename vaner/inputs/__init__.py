"""In: words, entity types, a dataset's name. Out: what a model reads: rows of token ids, in batches.

instructions    dataset and types -> the instruction's text
hints           an index -> sentences on names in a text, for the instruction
features        instruction and words -> token ids, where words and types lie, windows
batching        rows -> batches under a budget of tokens
"""
