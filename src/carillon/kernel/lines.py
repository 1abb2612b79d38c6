"""The form of a text that people see in one line."""

from typing import Final

ONE_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]*$"
"""Without control characters, line ends, and the marks that turn the direction of what follows: with them a name could
pass for another."""
