"""Reports: one reader of the findings each."""
