"""Moving statistics computed from data."""
