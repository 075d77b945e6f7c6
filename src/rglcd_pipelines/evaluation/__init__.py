"""Prompt sets, generation, scores, FID, spectra, human and model judges."""
