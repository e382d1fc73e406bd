"""What prospects ask and object, as sales heard it; similar ones stand together, marketing answers them."""
