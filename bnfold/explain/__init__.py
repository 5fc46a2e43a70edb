"""One batch norm's arithmetic with its real numbers."""
