"""What a change does: objects and fields, findings, and who is affected."""
