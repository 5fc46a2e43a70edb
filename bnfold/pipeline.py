"""The five stages in order."""
