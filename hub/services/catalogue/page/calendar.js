// A month of the dates of a search: each day that has products says how clear the clearest was, and opens it.
import { element } from "./asking.js";
import { LANGUAGE, say } from "./words.js";

const DAY = 86400000;
const written = (options) => new Intl.DateTimeFormat(LANGUAGE, { timeZone: "UTC", ...options });
const MONTH = written({ month: "long", year: "numeric" });
const WEEKDAYS = Array.from({ length: 7 }, (_, n) => new Date((4 + n) * DAY)); // from a Monday on
const clouds = (item) => item.properties["eo:cloud_cover"];

export class Calendar {
  // `said` is called with the place of a day and gives its words; `chosen` with the one that was chosen.
  constructor({ said, chosen }) {
    Object.assign(this, { said, chosen, days: [], month: "", place: -1 });
    this.switch = element("button", { type: "button", class: "button plain small", "aria-expanded": "false", "aria-controls": "calendar" }, say("calendar"));
    this.panel = element("div", { id: "calendar", role: "group", "aria-label": say("calendar"), hidden: "" });
    this.switch.addEventListener("click", () => this.open(this.panel.hidden));
    this.panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation(); // the product stays open
      this.open(false);
      this.switch.focus();
    });
  }

  open(on) {
    this.panel.hidden = !on;
    this.switch.setAttribute("aria-expanded", on);
    if (on) this.draw();
  }

  // The days of a search, and the place of the one that is marked.
  mark(days, place) {
    Object.assign(this, { days, place, month: days[place].date.slice(0, 7) });
    if (!this.panel.hidden) this.draw();
  }

  // Months without products are left out.
  get months() {
    return [...new Set(this.days.map(({ date }) => date.slice(0, 7)))];
  }

  draw() {
    const focused = this.panel.contains(document.activeElement) ? document.activeElement.dataset.is : null;
    const { months, month } = this;
    const at = months.indexOf(month);
    const first = new Date(`${month}-01`);
    const weeks = [[]];
    for (let n = (first.getUTCDay() + 6) % 7; n; n -= 1) weeks[0].push(element("td"));
    for (let day = first; day.getUTCMonth() === first.getUTCMonth(); day = new Date(day.getTime() + DAY)) {
      if (weeks.at(-1).length === 7) weeks.push([]);
      weeks.at(-1).push(this.cell(day));
    }
    const heads = WEEKDAYS.map((day) => element("th", { scope: "col", abbr: written({ weekday: "long" }).format(day) }, written({ weekday: "narrow" }).format(day)));
    this.panel.replaceChildren(
      element("div", { class: "top" }, this.step("‹", "month_before", months[at - 1]), element("b", { "aria-live": "polite" }, MONTH.format(first)), this.step("›", "month_after", months[at + 1])),
      element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...weeks.map((cells) => element("tr", {}, ...cells)))),
    );
    if (focused) this.panel.querySelector(`[data-is="${focused}"]:not([disabled])`)?.focus();
  }

  step(sign, word, month) {
    const made = element("button", { type: "button", class: "button plain small", "aria-label": say(word), "data-is": word, ...(month ? {} : { disabled: "" }) }, sign);
    made.addEventListener("click", () => {
      this.month = month;
      this.draw();
    });
    return made;
  }

  cell(day) {
    const date = day.toISOString().slice(0, 10);
    const place = this.days.findIndex((one) => one.date === date);
    if (place < 0) return element("td", {}, String(day.getUTCDate()));
    const covers = this.days[place].items.map(clouds).filter((cover) => cover !== undefined && cover !== null);
    const best = covers.length ? Math.round(Math.min(...covers)) : null;
    const made = element("button", {
      type: "button", "data-is": date, "aria-label": `${date}: ${this.said(place)}`, class: best > 50 ? "cloudy" : "",
      ...(place === this.place ? { "aria-current": "date" } : {}),
    }, String(day.getUTCDate()), ...(best === null ? [] : [element("small", {}, `${best} %`)]));
    made.addEventListener("click", () => this.chosen(place));
    return element("td", {}, made);
  }
}
