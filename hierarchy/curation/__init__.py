"""Reading and writing verdicts, and checks of every file that people edit, but not these files (`curated`, review/)."""
