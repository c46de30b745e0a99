"""External clients, each with a token: Prometheus, and the robot that tests the lab (hub/trial.py)."""

from hub.installation import installation
from hub.services.registration import roles, services
from hub.trial import SCOPES

c = get_config()  # noqa: F821

here = installation()
roles(c)
if here.has("prometheus_token"):
    services(c).append({"name": "prometheus", "api_token": here.secret("prometheus_token")})
    roles(c).append({"name": "prometheus", "scopes": ["read:metrics"], "services": ["prometheus"]})
if here.lab.trial:
    services(c).append({"name": "trial", "api_token": here.secret("trial_token")})
    roles(c).append({"name": "trial", "scopes": SCOPES, "services": ["trial"]})
