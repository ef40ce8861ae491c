"""In: a file of arms, corpora and seeds. Out: a folder with what each arm found and cost, and a page of it.

settings, folder, data -> cells (training, tagging), spread over processes -> costs -> results
"""
