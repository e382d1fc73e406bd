"""Customers: who came in which month, how each became one, who stays and grows."""
