"""In: a text. Out: its words, sentences, units and abbreviations; the tags of its words.

segment          a text -> offsets of its words and sentences
abbreviations    a text -> the short forms that it defines
units            a Document -> Text: words, and units of whole sentences that a model reads at once
tags             words and mentions -> O, B, I
"""
