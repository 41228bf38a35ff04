"""What the pages of docs/ say is what the code does."""
