"""What a release says about its tables: card, columns, Croissant, licences and citation; nothing reads a label here."""
