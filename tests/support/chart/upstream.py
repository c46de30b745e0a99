"""What is known of the two charts that ours stands upon, where they cannot be had: which values they take, and what zero-to-jupyterhub 4 and
dask-gateway 2026 make of those. Facts, in words of ours; where the charts are there, they are rendered instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from traitlets.config import Config

from tests.support.chart.charting import documents
from tests.support.paths import SHARED

Known = dict[str, Any]


def keys(names: str, **inside: Any) -> Known:
    """Names that a value may have; what is inside is not held, unless it is said."""
    return {**dict.fromkeys(names.split()), **inside}


_IMAGE = keys("name tag pullPolicy pullSecrets")
_POLICY = keys("enabled ingress egress egressAllowRules interNamespaceAccessLabels allowedIngressPorts")
_PDB = keys("enabled maxUnavailable minAvailable")
_AFFINITY = keys("", nodeAffinity=keys("matchNodePurpose"), tolerations=None)

JUPYTERHUB = keys(
    "fullnameOverride nameOverride enabled custom imagePullSecrets global debug",
    hub=keys(
        "revisionHistoryLimit config service baseUrl cookieSecret initContainers nodeSelector tolerations concurrentSpawnLimit "
        "consecutiveFailureLimit activeServerLimit deploymentStrategy labels annotations command args extraConfig extraFiles extraEnv "
        "extraContainers extraVolumes extraVolumeMounts resources podSecurityContext containerSecurityContext lifecycle loadRoles services "
        "allowNamedServers namedServerLimitPerUser authenticatePrometheus redirectToServer shutdownOnLogout templatePaths templateVars "
        "livenessProbe readinessProbe existingSecret serviceAccount extraPodSpec",
        image=_IMAGE, pdb=_PDB, networkPolicy=_POLICY, db=keys("type upgrade pvc url password"),
    ),
    rbac=keys("create"),
    proxy=keys(
        "secretToken annotations deploymentStrategy labels https traefik secretSync",
        service=keys("type labels annotations nodePorts disableHttpPort extraPorts loadBalancerIP loadBalancerSourceRanges"),
        chp=keys(
            "revisionHistoryLimit containerSecurityContext extraCommandLineFlags livenessProbe readinessProbe resources defaultTarget "
            "errorTarget extraEnv nodeSelector tolerations extraPodSpec",
            image=_IMAGE, pdb=_PDB, networkPolicy=_POLICY,
        ),
    ),
    singleuser=keys(
        "podNameTemplate extraTolerations nodeSelector extraNodeAffinity extraPodAffinity extraPodAntiAffinity networkTools events "
        "extraAnnotations extraLabels extraFiles extraEnv lifecycleHooks initContainers extraContainers allowPrivilegeEscalation uid fsGid "
        "serviceAccountName startTimeout cpu memory extraResource cmd defaultUrl extraPodConfig profileList",
        image=_IMAGE, networkPolicy=_POLICY, cloudMetadata=keys("blockWithIptables ip"),
        storage=keys(
            "type extraLabels extraVolumes extraVolumeMounts static capacity homeMountPath",
            dynamic=keys("storageClass pvcNameTemplate volumeNameTemplate storageAccessModes subPath"),
        ),
    ),
    scheduling=keys(
        "podPriority userPlaceholder",
        userScheduler=keys(
            "enabled revisionHistoryLimit replicas logLevel plugins pluginConfig containerSecurityContext image nodeSelector tolerations "
            "labels annotations pdb resources serviceAccount extraPodSpec"
        ),
        corePods=_AFFINITY, userPods=_AFFINITY,
    ),
    prePuller=keys(
        "revisionHistoryLimit labels annotations resources containerSecurityContext extraTolerations hook continuous pullProfileListImages "
        "extraImages pause"
    ),
    ingress=keys("enabled annotations ingressClassName hosts pathSuffix pathType tls extraPaths"),
    cull=keys("enabled users adminUsers removeNamedServers timeout every concurrency maxAge"),
)  # fmt: skip

_SIZE = keys("request limit")
_POD = keys("extraPodConfig extraContainerConfig", cores=_SIZE, memory=_SIZE)
DASK_GATEWAY = keys(
    "fullnameOverride nameOverride enabled global rbac",
    gateway=keys(
        "replicas imagePullSecrets annotations resources livenessProbe readinessProbe nodeSelector affinity tolerations extraConfig prefix "
        "loglevel service",
        image=keys("name tag pullPolicy"),
        auth=keys("type simple kerberos custom", jupyterhub=keys("apiToken apiTokenFromSecretName apiTokenFromSecretKey apiUrl")),
        backend=keys(
            "namespace environment", image=keys("name tag pullPolicy"), scheduler=_POD, worker={**_POD, "threads": None}
        ),
    ),
    controller=keys(
        "enabled imagePullSecrets annotations resources nodeSelector affinity tolerations loglevel completedClusterMaxAge "
        "completedClusterCleanupPeriod backoffBaseDelay backoffMaxDelay k8sApiRateLimit k8sApiRateLimitBurst",
        image=keys("name tag pullPolicy"),
    ),
    traefik=keys(
        "replicas image imagePullSecrets annotations resources nodeSelector affinity tolerations additionalArguments loglevel dashboard",
        service=keys("type annotations spec ports"),
    ),
)  # fmt: skip


# What its configuration sets, whatever the values: it was written for JupyterHub 5, and the hub's image has that of the lock file.
TRAITS = {
    "JupyterHub": (
        "spawner_class cleanup_servers last_activity_interval tornado_settings db_url concurrent_spawn_limit active_server_limit base_url "
        "allow_named_servers named_server_limit_per_user authenticate_prometheus redirect_to_server shutdown_on_logout template_paths "
        "template_vars hub_bind_url hub_connect_url services load_roles cookie_secret admin_access authenticator_class log_level"
    ),
    "ConfigurableHTTPProxy": "api_url should_start auth_token",
    "CryptKeeper": "keys",
    "KubeSpawner": (
        "common_labels namespace consecutive_failure_limit pod_name_template start_timeout image_pull_policy events_enabled extra_labels "
        "extra_annotations uid fs_gid service_account storage_extra_labels node_selector node_affinity_required node_affinity_preferred "
        "pod_affinity_required pod_affinity_preferred pod_anti_affinity_required pod_anti_affinity_preferred lifecycle_hooks init_containers "
        "extra_containers mem_limit mem_guarantee cpu_limit cpu_guarantee extra_resource_limits extra_resource_guarantees environment "
        "profile_list extra_pod_config image allow_privilege_escalation image_pull_secrets scheduler_name priority_class_name tolerations "
        "pvc_name_template storage_pvc_ensure storage_class storage_access_modes storage_capacity volumes volume_mounts cmd default_url debug"
    ),
}


FOLDERS = {"jupyterhub": SHARED / "charts" / "zero-to-jupyterhub", "dask-gateway": SHARED / "charts" / "dask-gateway"}
"""Where the two charts' own schemas and defaults lie, if they do."""


def schema(name: str) -> dict[str, Any]:
    """The schema of a chart, as helm has it."""
    found: dict[str, Any] = documents((FOLDERS[name] / "values.schema.yaml").read_text())[0]
    return found


def merged(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The defaults of a chart with values upon them, as helm merges them: a null takes away."""

    def upon(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
        both = dict(under)
        for key, value in over.items():
            if value is None:
                both.pop(key, None)
            elif isinstance(value, dict) and isinstance(under.get(key), dict):
                both[key] = upon(under[key], value)
            else:
                both[key] = value
        return both

    return upon(documents((FOLDERS[name] / "values.yaml").read_text())[0], values)


def unknown(values: dict[str, Any], known: Known, path: str = "") -> Iterator[str]:
    """The values that a chart does not take: its own schema lets no other pass."""
    for name, value in values.items():
        if name not in known:
            yield f"{path}{name}"
        elif known[name] is not None and isinstance(value, dict):
            yield from unknown(value, known[name], f"{path}{name}.")


def spawner(c: Config, values: dict[str, Any], release: str = "lab") -> None:
    """Set what zero-to-jupyterhub makes of the values of people's servers, on a configuration, before ours runs.

    Volumes and mounts are dicts, whichever form the values have. `test_upstream.py` holds this against the chart itself, where it is there.
    """
    user, hub = values["singleuser"], values["hub"]
    c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
    c.ConfigurableHTTPProxy.api_url, c.ConfigurableHTTPProxy.should_start = "http://proxy-api:8001", False
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.last_activity_interval = 60
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
    c.JupyterHub.concurrent_spawn_limit, c.JupyterHub.allow_named_servers = 64, False
    c.JupyterHub.base_url, c.JupyterHub.template_paths, c.JupyterHub.template_vars = "/", [], {}
    c.JupyterHub.hub_bind_url, c.JupyterHub.hub_connect_url = "http://:8081", "http://hub:8081"
    k = c.KubeSpawner
    k.namespace = "lab"
    k.common_labels = {
        **dict.fromkeys(("app", "app.kubernetes.io/name"), "jupyterhub"),
        **dict.fromkeys(("release", "app.kubernetes.io/instance"), release),
        **dict.fromkeys(("chart", "helm.sh/chart"), "jupyterhub-4.4.2"),
        "app.kubernetes.io/managed-by": "kubespawner",
    }
    c.Spawner.consecutive_failure_limit = 5
    k.extra_labels = user.get("extraLabels", {"hub.jupyter.org/network-access-hub": "true"})
    k.image = f"{user['image']['name']}:{user['image']['tag']}"
    k.uid, k.fs_gid = user.get("uid", 1000), user.get("fsGid", 100)
    k.allow_privilege_escalation = user.get("allowPrivilegeEscalation", False)
    k.start_timeout, k.mem_guarantee = user.get("startTimeout", 300), "1G"
    k.events_enabled = user.get("events", True)
    k.environment = user.get("extraEnv", {})
    k.init_containers = list(user.get("initContainers", []))
    for name in ("extra_annotations", "storage_extra_labels", "node_selector", "lifecycle_hooks", "extra_pod_config"):
        k[name] = {}
    for name in ("extra_containers", "profile_list", "node_affinity_required", "node_affinity_preferred"):
        k[name] = []
    for name in ("required", "preferred"):
        k[f"pod_affinity_{name}"], k[f"pod_anti_affinity_{name}"] = [], []
    k.extra_resource_limits, k.extra_resource_guarantees = {}, {}
    _scheduling(k, values, release)
    _storage(k, user["storage"])
    c.JupyterHub.services, c.JupyterHub.load_roles = [], []
    c.Spawner.cmd = "jupyterhub-singleuser"
    if user.get("cloudMetadata", {}).get("blockWithIptables", True):
        privileged = {"privileged": True, "runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}}
        k.init_containers.append(
            {"name": "block-cloud-metadata", "image": "network-tools", "securityContext": privileged}
        )
    for section, told in hub.get("config", {}).items():
        c[section].update(told)


def _scheduling(k: Any, values: dict[str, Any], release: str) -> None:
    if values.get("imagePullSecrets"):
        k.image_pull_secrets = values["imagePullSecrets"]
    scheduling = values.get("scheduling", {})
    if scheduling.get("userScheduler", {}).get("enabled", True):
        k.scheduler_name = f"{release}-user-scheduler"
    keys = ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
    k.tolerations = [{"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"} for key in keys]
    wanted = {"matchExpressions": [{"key": "hub.jupyter.org/node-purpose", "operator": "In", "values": ["user"]}]}
    if scheduling.get("userPods", {}).get("nodeAffinity", {}).get("matchNodePurpose", "prefer") == "require":
        k.node_affinity_required = [wanted]
    else:
        k.node_affinity_preferred = [{"weight": 100, "preference": wanted}]


def _storage(k: Any, storage: dict[str, Any]) -> None:
    k.storage_pvc_ensure, k.storage_capacity = True, storage.get("capacity", "10Gi")
    k.storage_access_modes = ["ReadWriteOnce"]
    if name := storage.get("dynamic", {}).get("storageClass"):
        k.storage_class = name
    home, place = "volume-{user_server}", storage.get("homeMountPath", "/home/jovyan")
    volumes = {home: {"name": home, "persistentVolumeClaim": {"claimName": "{pvc_name}"}}}
    mounts = {home: {"name": home, "mountPath": place, "subPath": None}}
    volumes |= {v["name"]: v for v in storage.get("extraVolumes", [])}
    mounts |= {f"{i}-{m['name']}": m for i, m in enumerate(storage.get("extraVolumeMounts", []))}
    k.volumes, k.volume_mounts = volumes, mounts


def gateway(c: Config, values: dict[str, Any]) -> None:
    """Set what dask-gateway's chart makes of the values of its pods."""
    told = values["gateway"]["backend"]
    c.KubeBackend.gateway_instance = c.KubeController.gateway_instance = "dask-gateway"
    c.KubeBackend.api_url = c.KubeController.api_url = "http://api-dask-gateway.lab:8000/api"
    c.KubeClusterConfig.image = f"{told['image']['name']}:{told['image']['tag']}"
    c.KubeClusterConfig.environment = told.get("environment", {})
    c.KubeClusterConfig.namespace = told.get("namespace", "lab")  # nothing said: that of its pod
    for part in ("scheduler", "worker"):
        for what in ("cores", "memory"):
            c.KubeClusterConfig[f"{part}_{what}"] = told[part][what]["request"]
            c.KubeClusterConfig[f"{part}_{what}_limit"] = told[part][what]["limit"]
        c.KubeClusterConfig[f"{part}_extra_pod_config"] = told[part].get("extraPodConfig", {})
        c.KubeClusterConfig[f"{part}_extra_container_config"] = told[part].get("extraContainerConfig", {})
    if "threads" in told["worker"]:
        c.KubeClusterConfig.worker_threads = told["worker"]["threads"]
