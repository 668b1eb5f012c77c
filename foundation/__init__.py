"""What every package uses: errors, settings, files, tables, tars of images, text tables, charts; no domain logic."""
