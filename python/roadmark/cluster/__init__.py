"""Work that is shared out among the machines of a Ray cluster, file by file.

Nothing here knows what the work is: `jobs.run` takes the files and who works on one of them.
"""
