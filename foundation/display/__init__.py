"""How things are shown: text tables, SVG charts, HTML pages and visible control characters, but no reading of files."""
