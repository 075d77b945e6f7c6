"""The catalog's own dataset types, and the Great Expectations that guard them."""
