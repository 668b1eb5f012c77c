"""From Wikidata classes to a label: curated rules, class graph, anchor paths; nothing about names or images."""
