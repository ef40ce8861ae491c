"""In: guideline documents, raw text, taggers. Out: instructions, annotated corpora, students."""
