"""Readers of annotation formats, one module each; `registry` lists them.

A reader takes a `Request` and returns a `SourceSet` of what it found, right or wrong: judging
boxes and pictures is the work of `roadmark.data.validation`. What a reader cannot pass on (a line
that does not parse, annotations of a picture that is not there) it enters in the ledger.

Datumaro reads some of these formats too, but not in a way that every drop could be counted; see
docs/dependencies.md for what it does with each fault. It reads all the others: `datumaro_formats`.
"""
