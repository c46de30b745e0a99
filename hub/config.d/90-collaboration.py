"""The common servers of groups, if the operator's file has any; after all files that say what a server's token may."""

from hub.installation import installation
from hub.servers import collaboration
from hub.services.registration import roles

c = get_config()  # noqa: F821

lab = installation().lab
if any(group.collaboration for group in lab.groups.values()):
    roles(c).extend(collaboration.roles(lab))
    c.Spawner.server_token_scopes = collaboration.token_scopes(list(c.Spawner.server_token_scopes))
