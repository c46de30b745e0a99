"""What does an operator say of acquisition? The settings of ``geodes-lab acquire``, each with its type."""
