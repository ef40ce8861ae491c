"""In: gold Documents, predictions or a Tagger. Out: scores, intervals, agreement, mistakes; a Page of them.

run          gold and a Tagger or predictions -> Page; start here
pairing      gold and predicted Documents -> pairs of mentions on one text
metrics      pairs -> counts and scores, the class of every mistake
lengths      mentions, tags -> counts by length, in two ways
bootstrap    scores -> intervals, and whether two systems differ
agreement    pairs -> what seqeval says of them
mistakes     pairs -> the most frequent mistakes
calibration  scored spans -> temperatures, and how right scores are
thresholds   scored spans -> the least score that a precision needs
plot         bins of scores -> a reliability plot
page         all of it -> JSON, Markdown, terminal, by tables
answers      stored answers of language models -> gold documents, what was answered
"""
