"""How an agreement comes to its two signatures: who is asked, by which proof, and what is put on paper."""
