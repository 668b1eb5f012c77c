"""Why a label differs between two releases, found by deriving it again from their tables; no file is written here."""
