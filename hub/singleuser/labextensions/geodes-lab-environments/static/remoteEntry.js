// A federated extension of JupyterLab without a build: the launcher's token is taken from what JupyterLab shares.
(() => {
  const COMMAND = "geodes-lab:new-environment";
  const LAUNCHER = "@jupyterlab/launcher";
  const french = (navigator.language || "en").toLowerCase().startsWith("fr");
  const base = () => JSON.parse(document.getElementById("jupyter-config-data").textContent).baseUrl;
  let shared = {};

  // What JupyterLab itself has loaded, so that the token is the one that its launcher was registered with.
  async function launcherToken() {
    const versions = Object.values(shared[LAUNCHER] || {});
    const one = versions.find((version) => version.loaded) || versions[0];
    return one ? (await one.get())().ILauncher : null;
  }

  function activate(app, launcher) {
    app.commands.addCommand(COMMAND, {
      label: french ? "Nouvel environnement…" : "New environment…",
      caption: french ? "Vos propres paquets par-dessus ceux du laboratoire" : "Packages of your own over the lab's",
      iconClass: "jp-AddIcon",
      execute: () => { window.open(`${base()}geodes/environments`, "geodes-lab-environments"); },
    });
    if (launcher) launcher.add({ command: COMMAND, category: "Other", rank: 100 });
    new BroadcastChannel("geodes-lab-environments").onmessage = () => app.serviceManager.kernelspecs.refreshSpecs();
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["geodes-lab-environments"] = {
    init: (scope) => { shared = scope; },
    get: async () => {
      const token = await launcherToken();
      const plugin = {
        id: "geodes-lab-environments:plugin", description: "New environment… in the launcher.", autoStart: true,
        requires: [], optional: token ? [token] : [], activate,
      };
      return () => ({ __esModule: true, default: plugin });
    },
  };
})();
