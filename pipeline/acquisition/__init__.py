"""Downloads with retries, locks and manifests, their conversion and indexing; SPARQL and the stages are elsewhere."""
