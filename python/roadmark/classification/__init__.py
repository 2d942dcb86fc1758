"""Car classification: class sets, training, evaluation, export and use on detected vehicles."""
