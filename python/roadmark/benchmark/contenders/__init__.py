"""What is timed: ours, and each peer as a competent user would call it.

Each function takes `(arrays, options, threads)`: the inputs by name, plain values, and how many
threads may run. It returns `(call, read)`: `call()` is what is timed, and `read(result)` turns what
it returned into arrays by name, so that results can be compared. A module imports nothing of
Roadmark that its own environment lacks.
"""
