"""What the samples of a model are worth: the table of scores."""
