// A federated extension of JupyterLab without a build: it needs no library, only the application that it is given.
(() => {
  const EVERY = 30_000;
  const LOOK = 60_000; // at how full the home is
  const french = (navigator.language || "en").toLowerCase().startsWith("fr");
  const say = (english, frenchText) => (french ? frenchText : english);
  const base = () => JSON.parse(document.getElementById("jupyter-config-data").textContent).baseUrl;
  const cookie = (name) => (document.cookie.match(new RegExp(`(?:^|; )${name}=([^;]*)`)) || [])[1] || "";

  // JupyterHub wants the token of every request that is no navigation, of reading ones too.
  async function ask(method, path = "notices") {
    const headers = { Accept: "application/json", "X-XSRFToken": decodeURIComponent(cookie("_xsrf")) };
    const answer = await fetch(`${base()}geodes/${path}`, { method, headers, credentials: "same-origin" });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  }

  const clock = (text) => new Date(text).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

  function activate(app) {
    let shown = null; // the notification of a stop that is to come
    let told = ""; // which stop it is of
    const shownNow = new Map(); // the notifications of messages and of clusters that are to stop, by a key
    const notify = (message, type, options = {}) =>
      app.commands.execute("apputils:notify", { message, type, options: { autoClose: false, ...options } });
    const dismiss = () => {
      if (shown) app.commands.execute("apputils:dismiss-notification", { id: shown }).catch(() => {});
      shown = null;
      told = "";
    };

    async function show(heard) {
      const notice = heard.notice;
      if (!notice) dismiss();
      else if (told !== notice.stops) {
        dismiss();
        told = notice.stops;
        const at = clock(notice.stops);
        const sentence = notice.why === "order" ? ordered(say("this server", "ce serveur"), at, notice.text) : notice.why === "idle"
          ? say(`Nothing happens here: the server stops at ${at}, and its kernels with it. Press any key to keep it.`,
            `Il ne se passe rien ici : le serveur s’arrête à ${at}, et ses noyaux avec lui. Une touche suffit pour le garder.`)
          : say(`This server has reached its age limit and stops at ${at}. Save your work; you can start a new server immediately.`,
            `Ce serveur a atteint son âge limite : il s’arrête à ${at}. Enregistrez votre travail ; un autre peut démarrer aussitôt.`);
        shown = await notify(sentence, "warning");
      }
      await tell(heard);
    }

    // What an operator stops, with the operator's own words.
    const ordered = (what, at, text) => {
      const sentence = say(`An operator stops ${what} at ${at}. Save your work.`,
        `Un opérateur arrête ${what} à ${at}. Enregistrez votre travail.`);
      return text ? `${sentence} ${say("The operator says:", "L’opérateur écrit :")} ${text}` : sentence;
    };

    // Messages of operators, clusters that are to stop, and budgets: each is shown once, and goes when it no longer holds.
    async function tell(heard) {
      const wanted = new Map();
      for (const m of heard.messages || []) {
        if (localStorage.getItem(`geodes-lab-read-${m.id}`)) continue;
        const sentence = `${m.by ? say(`Message from ${m.by}:`, `Message de ${m.by} :`) : say("Message:", "Message :")} ${m.text}`;
        wanted.set(`message ${m.id}`, [sentence, "info", { actions: [{
          label: say("I have read it", "J’ai lu"), commandId: "geodes-lab:message-read", args: { id: m.id } }] }]);
      }
      for (const c of heard.clusters || []) {
        wanted.set(`cluster ${c.id} ${c.stops}`,
          [ordered(say(`your cluster “${c.name}”`, `votre cluster « ${c.name} »`), clock(c.stops), c.text), "warning", {}]);
      }
      for (const b of heard.budgets || []) {
        const key = `geodes-lab-budget-${b.month}-${b.kind}-${b.name}-${b.over ? "over" : "near"}`;
        if (localStorage.getItem(key)) continue;
        localStorage.setItem(key, "shown");
        const part = Math.floor(b.part * 100);
        const of = { person: say("Your budget", "Votre budget"), group: say(`The budget of the group ${b.name}`, `Le budget du groupe ${b.name}`),
          project: say(`The budget of the project ${b.name}`, `Le budget du projet ${b.name}`) }[b.kind];
        notify(b.over ? say(`${of} of this month is used up (${part} %).`, `${of} pour ce mois est épuisé (${part} %).`)
          : say(`${of} of this month: ${part} % is used.`, `${of} pour ce mois est consommé à ${part} %.`), b.over ? "error" : "warning");
      }
      for (const [key, id] of [...shownNow]) {
        if (wanted.has(key)) continue;
        shownNow.delete(key);
        app.commands.execute("apputils:dismiss-notification", { id }).catch(() => {});
      }
      for (const [key, [sentence, type, options]] of wanted) {
        if (shownNow.has(key)) continue;
        shownNow.set(key, null); // before it waits: the next report may come meanwhile
        shownNow.set(key, await notify(sentence, type, options));
      }
    }
    app.commands.addCommand("geodes-lab:message-read", {
      label: say("The message was read", "Le message est lu"),
      execute: ({ id }) => { localStorage.setItem(`geodes-lab-read-${id}`, "read"); },
    });

    async function first() {
      const heard = await ask("GET");
      const stopped = heard.stopped;
      if (stopped && localStorage.getItem("geodes-lab-stopped") !== stopped.when) {
        localStorage.setItem("geodes-lab-stopped", stopped.when);
        const what = stopped.running.length ? stopped.running.join(", ") : say("no kernel", "aucun noyau");
        const minutes = Math.round(stopped.after / 60);
        const when = new Date(stopped.when).toLocaleString();
        notify(stopped.why === "order"
          ? say(`Your last server was stopped by an operator (${when}). These were running: ${what}. ${stopped.text}`,
            `Votre dernier serveur a été arrêté par un opérateur (${when}). Ce qui tournait : ${what}. ${stopped.text}`)
          : stopped.why === "idle"
          ? say(`Your last server was stopped (${when}) after ${minutes} min without activity. These were running: ${what}.`,
            `Votre dernier serveur a été arrêté (${when}) après ${minutes} min sans activité. Ce qui tournait : ${what}.`)
          : say(`Your last server was stopped (${when}) because of its age. These were running: ${what}.`,
            `Votre dernier serveur a été arrêté (${when}) à cause de son âge. Ce qui tournait : ${what}.`), "info");
      }
      await show(heard);
    }

    let fullness = "roomy"; // what was last said of the home
    async function look() {
      const space = await ask("GET", "space");
      const now = space.rescue || space.over ? "full" : space.warn ? "scarce" : "roomy";
      if (now === fullness) return;
      fullness = now;
      if (now === "roomy") return;
      const part = Math.round(space.part * 100);
      const page = `${location.origin}${base()}geodes/space`;
      if (space.over) {
        notify(say(`Your home is ${part} % full. Nothing new is saved until you delete files: ${page} shows the largest. You can open and download everything.`,
          `Votre espace est plein à ${part} %. Rien de nouveau n’est enregistré tant que vous ne supprimez pas de fichiers : ${page} montre les plus gros. Vous pouvez tout ouvrir et télécharger.`), "error");
      } else if (space.quota) {
        notify(say(`Your home is ${part} % full: ${page} shows the largest files.`,
          `Votre espace est plein à ${part} % : ${page} montre les plus gros fichiers.`), space.rescue ? "error" : "warning");
      } else {
        notify(say(`The disk of your home is ${part} % full: ${page} shows the files in your home.`,
          `Le disque de votre espace est plein à ${part} % : ${page} montre ce que contient votre espace.`), space.rescue ? "error" : "warning");
      }
    }

    // A person is here: said at most every half a minute.
    let last = 0;
    const present = () => {
      if (Date.now() - last < EVERY) return;
      last = Date.now();
      ask("POST").then(show).catch(() => {});
    };
    for (const kind of ["keydown", "pointerdown", "wheel"]) document.addEventListener(kind, present, { capture: true, passive: true });

    app.restored.then(() => {
      present();
      first().then(look).catch((error) => console.warn(error));
      setInterval(() => look().catch(() => {}), LOOK);
      setInterval(() => ask("GET").then(show).catch(() => {}), EVERY);
    });
  }

  const plugin = { id: "geodes-lab-notices:plugin", description: "Notices of the lab.", autoStart: true, activate };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["geodes-lab-notices"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
