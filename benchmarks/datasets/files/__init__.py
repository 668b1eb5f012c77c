"""Images in files with labels from a table or from the folders they are in, but neither the release nor a layout."""
