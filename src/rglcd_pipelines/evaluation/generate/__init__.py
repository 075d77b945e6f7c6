"""Drawing the prompts with every model: which sampler, how many steps, and the shards of pictures."""
