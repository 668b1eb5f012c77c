"""The trainer and its parts, from the sampler to resuming; it reads no dataset files and scores no model."""
