"""The person's server imports of JupyterHub and dask-labextension what it uses, and whoever wants the rest gets it."""

import subprocess
import sys

import jupyterhub
import pytest


def told(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_starts_without_the_hubs_database_which_can_be_imported_later():
    code = (
        "import sys\nfrom hub.singleuser import server\nserver.import_without_the_hub()\n"
        "from jupyterhub import singleuser\nfrom jupyterhub.services.auth import HubOAuth\n"
        "print(callable(singleuser.main), [n for n in ('sqlalchemy', 'alembic', 'jupyterhub.orm') if n in sys.modules])\n"
        "from jupyterhub.handlers.pages import HealthCheckHandler\nfrom jupyterhub import orm\nimport sqlalchemy.orm\n"
        "print(orm.User.__table__.name, hasattr(HealthCheckHandler, 'get'))\n"
    )
    assert told(code).splitlines() == ["True []", "users True"]


def test_of_a_jupyterhub_that_needs_more_of_it_its_own_command_runs():
    code = (
        "import sys\nfrom hub.singleuser import server\nserver._OF_THE_HUB['sqlalchemy'] = {}\n"
        "sys.argv = ['server.py', '--version']\nserver.import_without_the_hub()\nprint('not reached')\n"
    )
    assert told(code).strip() == jupyterhub.__version__


@pytest.mark.parametrize("handlers", ["clusterhandler", "dashboardhandler"])
def test_the_panels_requests_are_answered_by_the_labs_own_clusters(handlers):
    code = (
        "import sys\nfrom hub.singleuser import clusters\nclusters.stand_in()\nimport dask_labextension\n"
        f"from dask_labextension import {handlers} as asked\n"
        "print(type(asked.manager).__name__, 'distributed' in sys.modules, 'numpy' in sys.modules)\n"
    )
    assert told(code) == "Clusters False False\n"
