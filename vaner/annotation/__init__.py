"""In: guideline documents, raw text, taggers. Out: instructions, annotated corpora, and the small encoders they teach."""
