"""Trainings from the command line: run files, recipes by name, overrides, data, output folder; the loop is not here."""
