"""The agreement in the browser: its parts as forms, a condition as a tree of controls, changes in words."""
