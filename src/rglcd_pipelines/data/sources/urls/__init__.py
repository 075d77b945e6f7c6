"""A list of URLs as a source: what may be downloaded, and img2dataset that does it."""
