"""The latents of pairs: how they are made, the file that holds them, and how training reads them."""
