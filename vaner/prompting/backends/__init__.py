"""In: a backend's name, a model, options. Out: the Backend: who answers requests."""
