"""Files of leads, activities and outcomes: read, mapped, checked, taken in."""
