"""Images with their labels and roles, from whatever source; nothing here knows networks, losses or metrics."""
