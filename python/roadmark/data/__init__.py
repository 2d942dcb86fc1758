"""Formats in, TFRecord shards out: reading, validation, statistics, synthetic scenes."""
