"""One module per command, named like it, but no stages, no training and no parsing of arguments (cli.py)."""
