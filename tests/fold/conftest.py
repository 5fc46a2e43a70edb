"""Lets the tests of the fold stage import their small graphs by name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
