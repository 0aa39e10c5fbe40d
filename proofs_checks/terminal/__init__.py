"""What is printed: progress, tables of any width, text that no name in it can steer."""
