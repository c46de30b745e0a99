"""The services under load: the catalogue, jobs, the hub, and what a thousand servers cost it while they are idle."""
