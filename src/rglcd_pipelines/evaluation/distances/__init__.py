"""How far generated pictures are from real ones, as a whole: on features [N, D] of each."""
