"""Reading, cleaning and writing pairs, shards and latents."""
