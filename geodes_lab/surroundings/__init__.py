"""What is around the lab on Kubernetes: `geodes-lab doctor --cluster`, from a pod of the lab."""
