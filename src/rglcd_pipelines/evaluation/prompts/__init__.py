"""What is drawn: prompts of the miniature world, of published benchmarks, or of a file of your own."""
