"""In: corpora, a config. Out: a model's folder, chosen on dev, with the record of what made it.

run          arguments -> folder; start here
arguments    a config and flags -> Run
gathering    corpora -> what is trained on and what chooses the model, without overlap
leakage      names that only dev or test annotate -> not trained on
names        an index -> rows of names (dense recognition)
mixture      corpora -> batches of every epoch
trainer      transformers' Trainer over a Mixture
clock        updates, or time -> how far the run is
dev          a model -> its scores on dev
record       a run -> what it logs and what its model keeps
card         the record -> README.md
"""
