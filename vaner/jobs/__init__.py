"""In: many files of documents, a tagger's settings, a folder. Out: a tagged file for each, whatever was killed.

sources     words of a command line -> files, folders of brat, standard input; and the file that each will become
units       a source -> units of documents, cut by the input alone
worker      a unit -> the same documents tagged, as bytes; what every worker process does, however it was started
pool        units -> workers: processes of this machine, and those of other ranks (ranks)
trials      a unit that failed -> another try, a search for the document to blame
store       finished units, and the manifest that says what is finished; one run at a time (lock)
record      settings, model, code of a run, and how another run's differ
assembly    the finished units of a source -> its output file
summary     tagged documents -> counts, as a table and as JSON
run         all of it together; start here
"""
