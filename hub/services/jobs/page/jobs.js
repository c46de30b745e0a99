// The person's jobs: progress, log, cancel, retry, results on the map, run again, open in a notebook.
import { element, get, post, send } from "./asking.js";
import { moment, say } from "./words.js";

const $ = (id) => document.getElementById(id);
const ENDED = new Set(["successful", "failed", "dismissed"]);
const PICTURE = /^data:image\/(jpeg|png);base64,/;
const PAGE = 20;

export class Jobs {
  // `again` gets a job that is to be run again.
  constructor(map, again, addresses) {
    [this.map, this.again, this.addresses] = [map, again, addresses];
    this.found = window.L.featureGroup().addTo(map);
    [this.cards, this.limit, this.logs, this.here] = [new Map(), PAGE, new Set(), null];
    $("older").addEventListener("click", () => {
      this.limit += PAGE;
      this.look();
    });
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
  }

  async look() {
    clearTimeout(this.timer);
    let pause = 3000;
    try {
      const { jobs, links } = await get(`ogc/jobs?limit=${this.limit}`);
      this.show(jobs);
      $("older").hidden = !links.some((link) => link.rel === "next");
      $("told").replaceChildren(jobs.length ? "" : say("nojobs"));
      if (jobs.every((job) => ENDED.has(job.status))) pause = 15000;
    } catch (error) {
      const login = element("a", { href: "login" }, say("login"));
      $("told").replaceChildren(error.status === 401 ? login : say("lost"));
      pause = 10000;
    }
    if (!document.hidden) this.timer = setTimeout(() => this.look(), pause);
  }

  show(jobs) {
    const cards = jobs.map((job) => {
      const card = this.cards.get(job.jobID) ?? new Card(this, job);
      card.update(job);
      return [job.jobID, card];
    });
    this.cards = new Map(cards);
    const nodes = cards.map(([, card]) => card.node);
    // In place: whoever reads or tabs through the list stays where they are.
    for (const old of [...$("jobs").children]) if (!nodes.includes(old)) old.remove();
    nodes.forEach((node, n) => $("jobs").children[n] === node || $("jobs").insertBefore(node, $("jobs").children[n] ?? null));
  }

  tell(error) {
    $("told").textContent = error.message;
  }

  // The places of a job's results, in place of those of another.
  mark(card, features) {
    this.found.clearLayers();
    this.here?.classList.remove("marked");
    this.here = card?.node ?? null;
    this.here?.classList.add("marked");
    const placed = features.filter((feature) => feature.geometry);
    for (const feature of placed) {
      window.L.geoJSON(feature, { className: "footprint here", weight: 2, fillOpacity: 0.15 }).bindTooltip(document.createTextNode(feature.id)).addTo(this.found);
    }
    if (placed.length) this.map.fitBounds(this.found.getBounds(), { maxZoom: 12, padding: [30, 30] });
    return placed.length;
  }
}

class Card {
  constructor(list, job) {
    [this.list, this.id, this.path] = [list, job.jobID, `ogc/jobs/${job.jobID}`];
    this.badge = element("span");
    this.bar = element("progress", { max: "100", "aria-label": say("progress", { job: job.title || job.processID }) });
    this.message = element("p", { class: "soft" });
    this.acts = element("div", { class: "acts" });
    this.more = element("div");
    this.results = element("div", { class: "results" });
    this.node = element("li", { class: "job" },
      element("h3", {}, job.title || job.processID),
      element("div", { class: "line" }, this.badge, element("span", { class: "soft" }, `${job.processID} · ${moment(job.created)}`), this.bar),
      this.message, this.acts, this.results, this.more);
    this.status = null;
  }

  update(job) {
    this.job = job;
    this.bar.value = job.progress;
    this.bar.textContent = `${job.progress} %`;
    const { running, failed } = job.units;
    const cells = job.cells ? say("cells", job.cells) : "";
    const counts = [say("done", job.units), cells, running ? say("running_now", job.units) : "", failed ? say("failed_now", job.units) : ""];
    this.message.replaceChildren(counts.filter(Boolean).join(", "));
    if (job.status === "failed") this.message.append(element("span", { lang: "en" }, `. ${job.message}`));
    if (this.opened && !ENDED.has(job.status)) this.readLog();
    if (job.status === this.status) return;
    if (this.opened) this.readLog();
    this.status = job.status;
    this.badge.className = `badge ${job.status}`;
    this.badge.textContent = say(job.status);
    this.bar.hidden = job.status === "dismissed";
    const focused = document.activeElement?.dataset?.act;
    const inside = this.acts.contains(document.activeElement);
    this.acts.replaceChildren(...this.actions(job));
    if (inside) (this.acts.querySelector(`[data-act="${focused}"]`) ?? this.acts.firstElementChild)?.focus();
  }

  actions(job) {
    const done = job.status === "successful";
    const ended = ENDED.has(job.status);
    const found = [];
    if (done) found.push(this.button("show", () => this.showResults()));
    if (!ended) found.push(this.button("cancel", () => this.change("DELETE", "")));
    if (ended && !done) found.push(this.button("retry", () => this.change("POST", "/retry")));
    this.logger = this.button("log", () => this.toggleLog());
    this.logger.setAttribute("aria-expanded", String(Boolean(this.opened)));
    if (this.opened) this.logger.textContent = say("hide");
    found.push(this.logger, this.button("again", () => this.list.again(job)));
    const notebook = `${this.list.addresses.notebook}?job=${encodeURIComponent(job.jobID)}`;
    found.push(element("a", { class: "button plain", href: notebook, "data-act": "notebook" }, say("notebook")));
    if (ended) found.push(this.button("remove", () => this.change("DELETE", "")));
    return found;
  }

  button(name, act) {
    const made = element("button", { type: "button", class: "button plain", "data-act": name }, say(name));
    made.addEventListener("click", () => act()?.catch?.((error) => this.list.tell(error)));
    return made;
  }

  async change(method, path) {
    await (method === "POST" ? post(`${this.path}${path}`, {}) : send(method, `${this.path}${path}`));
    await this.list.look();
  }

  async toggleLog() {
    this.opened = !this.opened;
    this.logger.setAttribute("aria-expanded", String(this.opened));
    this.logger.textContent = say(this.opened ? "hide" : "log");
    if (this.opened) await this.readLog();
    else this.more.replaceChildren();
  }

  async readLog() {
    const { log, failures } = await get(`${this.path}/log`);
    if (!this.opened) return;
    const lines = log.map((entry) => element("li", {}, element("span", { class: "soft" }, `${moment(entry.time)} `), entry.text));
    const parts = [element("ul", { tabindex: "0", "aria-label": say("log") }, ...lines)];
    if (failures.length) {
      parts.unshift(element("b", {}, say("failures")), element("ul", {}, ...failures.map((f) => element("li", {}, say("unit", f)))));
    }
    const isNew = !this.more.childElementCount;
    this.more.replaceChildren(...parts);
    if (isNew) this.more.scrollIntoView({ block: "nearest" });
  }

  async showResults() {
    const { features } = await get(`${this.path}/items`);
    const placed = this.list.mark(this, features);
    const figures = features.slice(0, 12).map((feature) => this.figure(feature));
    this.results.replaceChildren(...(placed ? [] : [element("p", {}, say("noresults"))]), ...figures);
    const collection = features.find((feature) => feature.collection)?.collection;
    if (collection) {
      const href = `${this.list.addresses.catalogue}?collection=${encodeURIComponent(collection)}`;
      this.results.append(element("p", {}, element("a", { href }, say("incatalogue"))));
    }
    this.list.map.getContainer().scrollIntoView({ block: "nearest" });
  }

  figure(feature) {
    const picture = Object.values(feature.assets).find((asset) => asset.roles?.includes("thumbnail"))?.href ?? "";
    const when = feature.properties.datetime ?? feature.properties.start_datetime ?? "";
    const parts = PICTURE.test(picture) ? [element("img", { src: picture, alt: "" })] : [];
    return element("figure", {}, ...parts, element("figcaption", {}, `${when.slice(0, 10)} ${feature.id}`));
  }
}
