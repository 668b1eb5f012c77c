"""The browser pages of `hgld review` (server, safety, page, script), but not what an answer means, which is above."""
