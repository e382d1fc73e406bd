"""The pulse: a short monthly survey of sales, without names, beside what was measured."""
