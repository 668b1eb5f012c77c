"""Sending a release to where others find it: one module per destination; nothing of the release is written here."""
