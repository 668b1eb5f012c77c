"""From the files of GLDv2 to the release: stages, commands and what they share, but no domain logic (hierarchy)."""
