"""The system as an overlay deploys it, as a picture."""
