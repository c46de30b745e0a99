"""What may a person's assistant ask? Documentation, functions and catalogue by the Model Context Protocol.

`server` answers on standard input and output. Nothing here changes, downloads or computes anything: an assistant
prepares what a person then runs.
"""
