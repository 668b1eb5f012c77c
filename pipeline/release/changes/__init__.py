"""What a release says about the version before it: changes, deprecations and the step of the version; no label."""
