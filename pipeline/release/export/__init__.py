"""A release in the formats of other programs: spreadsheets, databases, training at scale; no label is changed."""
