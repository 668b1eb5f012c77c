"""How things are shown: text tables, SVG charts and maps, HTML pages, control characters; no files of users."""
