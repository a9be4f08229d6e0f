"""What runs begin from and leave behind."""
