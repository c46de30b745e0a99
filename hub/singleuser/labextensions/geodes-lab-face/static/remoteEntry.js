// A federated extension of JupyterLab without a build: the lab's mark at the top left, and what the lab has at hand in
// the Help menu.
(() => {
  const french = (navigator.language || "en").toLowerCase().startsWith("fr");
  const say = (english, frenchText) => (french ? frenchText : english);
  const settings = () => JSON.parse(document.getElementById("jupyter-config-data").textContent);
  let scope = null; // JupyterLab's own modules

  // The Earth, the orbit of a satellite, and the satellite.
  const MARK = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="20" height="20" role="img"
    aria-label="GEODES Lab"><circle cx="16" cy="16" r="9" fill="#0b63b5"/><path d="M9 12c3-2 5 1 7-1s4-2 6 0 1 4-2 4-3 4-6
    3-2-3-4-3-2-2-1-3z" fill="#7bbf6a"/><ellipse cx="16" cy="16" rx="14.5" ry="5.2" fill="none" stroke="#f0a020"
    stroke-width="1.8" transform="rotate(-32 16 16)"/><rect x="25" y="4.5" width="4.6" height="4.6" rx="1" fill="#16283a"
    stroke="#fff" stroke-width=".8" transform="rotate(-32 27 7)"/></svg>`;

  async function shared(name) {
    const versions = scope[name];
    return (await versions[Object.keys(versions)[0]].get())();
  }

  function activate(app, menu) {
    const base = settings().baseUrl;
    const hub = settings().hubPrefix || "/hub/"; // the services are beside the hub
    const service = (name) => `${hub.replace(/hub\/$/, "")}services/${name}/`;
    const host = settings().hubHost || "";
    const first = `notebooks/01_ndvi_cube${french ? ".fr" : ""}.ipynb`;
    const entries = [
      ["documentation", say("GEODES Lab: Documentation", "GEODES Lab : documentation"), () => window.open(`${base}geodes/docs/`)],
      ["first-notebook", say("GEODES Lab: The First Notebook", "GEODES Lab : le premier notebook"),
        () => app.commands.execute("docmanager:open", { path: first })],
      ["catalogue", say("GEODES Lab: Catalogue", "GEODES Lab : catalogue"), () => window.open(host + service("catalogue"))],
      ["usage", say("GEODES Lab: My Usage", "GEODES Lab : ma consommation"), () => window.open(host + service("usage"))],
      ["news", say("GEODES Lab: News", "GEODES Lab : nouvelles"), () => window.open(host + service("home"))],
    ];
    const items = entries.map(([name, label, execute]) => {
      app.commands.addCommand(`geodes:${name}`, { label, execute });
      return { command: `geodes:${name}` };
    });
    menu.helpMenu.addGroup(items, -10);
    app.restored.then(() => {
      const place = document.getElementById("jp-MainLogo");
      if (!place) return;
      place.innerHTML = MARK;
      place.title = "GEODES Lab";
      place.style.cssText += "display: flex; align-items: center; justify-content: center;";
    });
  }

  async function plugin() {
    const { IMainMenu } = await shared("@jupyterlab/mainmenu");
    return { id: "geodes-lab-face:plugin", description: "The lab's face.", autoStart: true, requires: [IMainMenu], activate };
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["geodes-lab-face"] = {
    init: (modules) => { scope = modules; },
    get: async () => {
      const made = await plugin();
      return () => ({ __esModule: true, default: made });
    },
  };
})();
