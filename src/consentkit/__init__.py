"""Ask for consent, obey the answer, and prove both."""
