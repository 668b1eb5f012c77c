"""One module per stage of dvc.yaml up to the release, each with `run(params)`, but not training (hgld.benchmarks)."""
