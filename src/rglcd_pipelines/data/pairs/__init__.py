"""Images with their captions: what is kept of a source, how it is written, and how it is read back."""
