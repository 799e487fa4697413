"""The rules, one module each, in the order of the catalogue."""
