"""What each make of a seam must do, as tests that take the make under test."""
