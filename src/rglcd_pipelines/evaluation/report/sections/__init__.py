"""One file a section of the report: what is seen, in words that come from the numbers."""
