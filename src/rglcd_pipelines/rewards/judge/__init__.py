"""A vision-language model behind an OpenAI-compatible endpoint, as a judge. Importing this is quick."""
