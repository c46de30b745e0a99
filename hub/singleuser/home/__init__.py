"""What is in the home, what may be deleted from it, and how are its files shown?"""
