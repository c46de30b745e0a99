"""The first page of the lab: start, catalogue, notebooks, clusters, usage and news; and the news as a feed."""
