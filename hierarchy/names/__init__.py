"""From the text of a class or landmark name to a label: rules, lexicons, a text classifier; reads no pipeline files."""
