"""The revenue goal: from a sum and a day back to leads per source and week."""
