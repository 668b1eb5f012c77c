"""The official layouts of published datasets, one module for each, but no data and no numbers of theirs."""
