"""What is allowed. Pure: the same question always gets the same answer."""
