"""What marketing runs: the word that sales should know, what it cost, and what came of it."""
