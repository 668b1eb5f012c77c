"""The sample world: drawn pictures in GLDv2's own file formats, and a tiny CLIP that reads them."""
