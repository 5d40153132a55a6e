"""How values are read from settings: fields, places, secrets."""
