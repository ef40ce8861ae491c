"""In: requests. Out: answers, by who gives them: a folder of weights, a server, or a GGUF file in this process."""
