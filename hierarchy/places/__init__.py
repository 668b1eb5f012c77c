"""Where a landmark is, its country and its continent; nothing here says what it is, or changes its label."""
