"""The review in a terminal: the prompt and what an answer means, but not what a verdict does, which is above."""
