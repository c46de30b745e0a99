"""How units are computed: a runner takes them, workers compute them, files appear whole."""
