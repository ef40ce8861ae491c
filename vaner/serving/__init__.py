"""In: requests over HTTP. Out: tagged texts: one tagger, shared by many clients, and its page."""
