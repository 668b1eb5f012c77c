"""The sample world: drawings in GLDv2's file formats and a tiny CLIP trained on drawings; nothing else imports it."""
