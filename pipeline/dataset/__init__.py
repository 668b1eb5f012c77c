"""The landmarks and images of GLDv2 as tables, the released splits and the card numbers; it decides no label."""
