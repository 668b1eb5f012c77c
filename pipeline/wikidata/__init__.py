"""From Commons categories to tables of Wikidata items and classes, but not how queries are sent (`sparql`)."""
