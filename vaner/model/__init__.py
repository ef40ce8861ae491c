"""In: token ids. Out: scores of O, B, I for every word and type; and the model's folder.

config       what a saved model must know besides its weights
catalogue    names of backbones and models -> local folders
hashing      a folder of weights -> one hash of them
adapting     a backbone's folder -> the backbone, its attention switched, with LoRA
attention    who sees whom
heads        states of words and types -> scores
network      ids -> scores and loss
saving       build, save, load, merge
merging      an adapter -> into the weights
"""
