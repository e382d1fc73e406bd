"""Any version of the agreement tried on leads whose end is known, each as it was known when sales decided."""
