"""In: units of text, entity types, a language model. Out: its answers, and where in the text the mentions stand.

request            what is asked, what comes back
unit               the words that are asked about, and how a prompt shows them
answers/           formats of answers: question, example, grammar, and how one is read
alignment          free answers, word by word -> tags;  grounding: mentions by their text -> places
shots, retrieval/  examples from train splits; definitions, names, passages
prompt             settings and all of these -> messages
backends/          who answers: transformers, openai, llamacpp
store, sending     every request once, and what was spent
"""
