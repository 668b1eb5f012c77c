"""CLIP vectors of images and label prompts: computed in cached shards, and read back, but not turned into labels."""
