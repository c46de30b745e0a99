"""Notebooks that run without their person: here and now, or as a job like all others.

`document` reads a notebook, `parameters` sets what its tagged cell names, `execution` runs it in a kernel of its own,
`submission` makes a job of it, and `running` is what a runner does with that job.

nbclient runs the cells: it is Jupyter's own, is installed with Jupyter, and papermill runs on it too. Of papermill only
the parameters would be used, and it takes any name and any type as one; it keeps a half notebook under the name of the
result. jupyter-scheduler needs a Jupyter server that lives as long as its jobs. The tags are papermill's
(``parameters``, ``injected-parameters``), so that its notebooks run here too.
"""
