"""Time and memory of losses and metrics beside plain transcriptions of the published code; not their accuracy."""
