"""What a link of the lab's pages makes in a person's home: a notebook of a search, a download or a job."""
