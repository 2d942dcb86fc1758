"""The operations around a network: pre-processing, box coding, suppression, post-processing."""
