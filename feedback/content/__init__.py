"""Pieces that leads read and sales sends: the library, what each piece is used for, what it earned."""
