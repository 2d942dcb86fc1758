"""Engines that run exported models, and the detector that joins them with what surrounds them."""
