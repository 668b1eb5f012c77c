"""A SPARQL client with batching and a response cache, and a local server; no query texts, which are in wikidata."""
