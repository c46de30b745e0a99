// A federated extension of JupyterLab without a build. When a notebook is opened, the user's server (recording.py) is
// asked what its cells gave while no window was open; a cell that still runs is followed until it ends.
(() => {
  const EVERY = 1_000;
  const french = (navigator.language || "en").toLowerCase().startsWith("fr");
  const say = (english, frenchText) => (french ? frenchText : english);
  const base = () => JSON.parse(document.getElementById("jupyter-config-data").textContent).baseUrl;
  const cookie = (name) => (document.cookie.match(new RegExp(`(?:^|; )${name}=([^;]*)`)) || [])[1] || "";
  let scope = null; // JupyterLab's own modules

  async function shared(name) {
    const versions = scope[name];
    return (await versions[Object.keys(versions)[0]].get())();
  }

  async function ask(method, query) {
    const headers = { Accept: "application/json", "X-XSRFToken": decodeURIComponent(cookie("_xsrf")) };
    const address = `${base()}geodes/missed?${new URLSearchParams(query)}`;
    const answer = await fetch(address, { method, headers, credentials: "same-origin" });
    if (!answer.ok) throw new Error(`missed: ${answer.status}`);
    return answer.status === 204 ? null : answer.json();
  }

  // The cell that ran. Where it was changed since, or never saved, what ran is put beside it, or at the end.
  function cellOf(panel, execution) {
    const notebook = panel.content.model;
    const cells = [...notebook.cells];
    const same = cells.find((c) => c.id === execution.cell);
    if (same && same.type === "code" && same.sharedModel.getSource() === execution.source) return same;
    if (!same) { // files of an older format keep no ids
      const alike = cells.filter((c) => c.type === "code" && c.sharedModel.getSource() === execution.source);
      if (alike.length === 1) return alike[0];
    }
    const place = same ? cells.indexOf(same) + 1 : cells.length;
    const added = { cell_type: "code", source: execution.source, metadata: {}, ...(same ? {} : { id: execution.cell }) };
    notebook.sharedModel.insertCell(place, added);
    return notebook.cells.get(place);
  }

  function show(cell, execution) {
    const outputs = cell.outputs;
    cell.trusted = true; // what the person's own kernel gave, as if the window had been open
    if (execution.from > outputs.length || execution.from < outputs.length - 1) {
      outputs.fromJSON([...outputs.toJSON().slice(0, execution.from), ...execution.outputs]);
    } else {
      execution.outputs.forEach((output, number) => {
        const place = execution.from + number;
        if (place < outputs.length) outputs.set(place, output);
        else outputs.add(output);
      });
    }
    cell.executionState = execution.running ? "running" : "idle";
    if (!execution.running) cell.executionCount = execution.count;
  }

  async function follow(app, panel) {
    await panel.context.ready;
    await panel.revealed;
    const { executions } = await ask("GET", { path: panel.context.path });
    if (!executions.length) return;
    const cells = new Map();
    const shown = new Set(); // have ended, and are in the notebook
    for (const execution of executions) {
      const cell = cellOf(panel, execution);
      cell.outputs.clear();
      cells.set(execution.id, { cell, version: execution.version });
      show(cell, execution);
      if (!execution.running) shown.add(execution.id);
    }
    panel.context.saveState.connect((_, state) => {
      if (state !== "completed" || !shown.size) return;
      const ids = [...shown];
      ask("DELETE", [["path", panel.context.path], ...ids.map((id) => ["id", id])])
        .then(() => ids.forEach((id) => shown.delete(id)))
        .catch((error) => console.warn(error));
    });
    const number = executions.length;
    app.commands.execute("apputils:notify", {
      message: number === 1
        ? say("A cell ran while this notebook was closed: its output is here.",
          "Une cellule a tourné pendant que ce notebook était fermé : sa sortie est ici.")
        : say(`${number} cells ran while this notebook was closed: their outputs are here.`,
          `${number} cellules ont tourné pendant que ce notebook était fermé : leurs sorties sont ici.`),
      type: "info", options: { autoClose: 8000 },
    });
    while (!panel.isDisposed && [...cells.keys()].some((id) => !shown.has(id))) {
      await new Promise((resolve) => setTimeout(resolve, EVERY));
      const since = Object.fromEntries([...cells].filter(([id]) => !shown.has(id)).map(([id, { version }]) => [id, version]));
      let now;
      try {
        now = (await ask("GET", { path: panel.context.path, since: JSON.stringify(since) })).executions;
      } catch (error) {
        console.warn(error); // the network: it is tried again
        continue;
      }
      for (const id of Object.keys(since)) {
        const execution = now.find((e) => e.id === id);
        const known = cells.get(id);
        if (!execution || known.cell.isDisposed) {
          cells.delete(id); // the cell is run anew, or gone
        } else {
          if (execution.version > known.version) show(known.cell, execution);
          known.version = execution.version;
          if (!execution.running) shown.add(id);
        }
      }
    }
  }

  async function plugin() {
    const { INotebookTracker } = await shared("@jupyterlab/notebook");
    return {
      id: "geodes-lab-missed:plugin",
      description: "What cells gave while no window was open.",
      autoStart: true,
      requires: [INotebookTracker],
      activate: (app, tracker) => {
        tracker.widgetAdded.connect((_, panel) => follow(app, panel).catch((error) => console.warn(error)));
      },
    };
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["geodes-lab-missed"] = {
    init: (modules) => { scope = modules; },
    get: async () => {
      const made = await plugin();
      return () => ({ __esModule: true, default: made });
    },
  };
})();
