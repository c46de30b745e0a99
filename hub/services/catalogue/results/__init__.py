"""How does a person write the Items of their results, and which are refused?"""
