"""The sentences of routing in the browser: who gets which lead, tried on real ones before it holds."""
