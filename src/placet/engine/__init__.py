"""What Placet does, written against ports."""
