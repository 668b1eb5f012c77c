"""Comparing label files and releases, with their statistics, but not drawing or writing reports (pipeline/commands)."""
