// What begins jobs by itself: the person's schedules, with their last and next run.
import { element, get, send } from "./asking.js";
import { moment, say } from "./words.js";

const $ = (id) => document.getElementById(id);
const EVERY = 60000; // milliseconds between two looks
const PARTS = ["product", "1MS", "10D"];

export class Schedules {
  constructor(said) {
    this.said = said;
    $("repeat").replaceChildren(new Option(say("once"), ""), ...PARTS.map((part) => new Option(say(`each_${part}`), part)));
    $("repeat").addEventListener("change", () => this.chosen());
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
  }

  // "" for a job that begins now, else what has a job each.
  get each() {
    return $("when").hidden ? "" : $("repeat").value;
  }

  chosen() {
    $("repeated").hidden = !this.each;
    $("wait").parentElement.querySelectorAll("label, input").forEach((part) => (part.hidden = this.each === "product"));
    $("start").textContent = say(this.each ? "schedule" : "start");
    for (const id of ["every", "to"]) $(id).disabled = Boolean(this.each);
  }

  // The request of a schedule, from that of a job.
  of({ inputs }, start) {
    const { search, period, every, ...rest } = inputs;
    if (!search) throw new Error(say("needsearch"));
    const { datetime, ...wanted } = search;
    const schedule = { each: this.each, ...(start ? { start } : {}) };
    if (this.each !== "product") schedule.wait = `${Number($("wait").value) || 0}D`;
    return { inputs: { ...rest, search: wanted }, schedule };
  }

  async look() {
    clearTimeout(this.timer);
    try {
      const { schedules } = await get("ogc/schedules");
      $("timetable").hidden = !schedules.length;
      $("schedules").replaceChildren(...schedules.map((one) => this.card(one)));
    } catch {
      // the list of jobs says what is wrong
    }
    if (!document.hidden) this.timer = setTimeout(() => this.look(), EVERY);
  }

  card(one) {
    const name = one.title || one.processID;
    const each = PARTS.includes(one.each) ? say(`each_${one.each}`) : one.each;
    const runs = [
      one.lastRun ? say("lastrun", { when: moment(one.lastRun) }) : say("neverrun"),
      one.nextRun ? say("nextrun", { when: moment(one.nextRun) }) : "",
      say("begun", { jobs: one.jobs }),
    ];
    const remove = element("button", { type: "button", class: "button plain", "aria-label": say("unschedule", { name }) }, say("remove"));
    remove.addEventListener("click", () => this.remove(one).catch((error) => this.said(error.message)));
    return element("li", { class: "job" },
      element("h3", {}, name),
      element("div", { class: "line" }, element("span", { class: `badge ${one.status}` }, say(one.status)), element("span", { class: "soft" }, `${one.processID} · ${each}`)),
      element("p", { class: "soft" }, runs.filter(Boolean).join(" · ")),
      ...(one.message ? [element("p", { lang: "en" }, one.message)] : []),
      element("div", { class: "acts" }, remove));
  }

  async remove(one) {
    await send("DELETE", `ogc/schedules/${one.scheduleID}`);
    await this.look();
    $("repeat").focus();
  }
}
