// Searches that are kept in this browser, each with a feed of its new products; the service may mail them.
import { element } from "./asking.js";
import { recall, remember } from "./kept.js";
import { News } from "./news.js";
import { say } from "./words.js";

const KEPT = "searches";
const MOST = 50;
const LONG = 4000; // characters of an address
// Of the page's address; a feed has no product, imagery or shape of a file.
const OF_A_FEED = ["collection", "from", "to", "clouds", "polarizations", "property", "value", "also", "bbox", "polygon", "tile"];

export function feedOf(address) {
  const kept = new URLSearchParams(address);
  if (kept.has("shape") || !kept.get("collection")) return "";
  return `feed.atom?${new URLSearchParams(OF_A_FEED.filter((name) => kept.has(name)).map((name) => [name, kept.get(name)]))}`;
}

export class Saved {
  constructor(panel) {
    this.panel = panel;
    this.name = element("input", { type: "text", id: "search-name", maxlength: "80", autocomplete: "off" });
    const save = element("button", { type: "button", class: "button plain small" }, say("save_search"));
    this.list = element("ul", { class: "list" });
    this.news = new News(() => this.tell());
    panel.append(this.list, element("label", { for: "search-name" }, say("search_name")), this.name, element("p", {}, save), this.news.foot);
    save.addEventListener("click", () => this.save());
    panel.addEventListener("toggle", () => panel.open && this.news.ask());
    this.tell();
  }

  // A link of a mail; the code is not kept in the address.
  confirm(code) {
    this.panel.open = true;
    return this.news.confirm(code);
  }

  get all() {
    const isOne = (one) => [one.name, one.address].every((text) => typeof text === "string" && text.length <= LONG);
    return recall(KEPT).filter(isOne).slice(0, MOST);
  }

  save() {
    const address = location.search;
    if (!new URLSearchParams(address).has("collection")) return this.news.tell(say("search_first"));
    if (address.length > LONG) return this.news.tell(say("long_search"));
    const name = this.name.value.trim() || new URLSearchParams(address).get("collection") || "…";
    this.put([{ name, address }, ...this.all.filter((one) => one.name !== name)].slice(0, MOST));
    this.name.value = "";
  }

  put(all) {
    remember(KEPT, all);
    this.tell();
  }

  tell() {
    const { all } = this;
    const several = [...all, ...this.news.others(all.map(({ address }) => feedOf(address)))];
    this.list.replaceChildren(...several.map((one) => {
      const feed = feedOf(one.address);
      const away = element("button", { type: "button", class: "button plain small", "aria-label": say("forget", { name: one.name }) }, "×");
      away.addEventListener("click", () => {
        this.put(this.all.filter(({ name }) => name !== one.name));
        this.news.forget(feed);
      });
      // A question mark first: it leads to this page, whatever was kept.
      return element("li", {}, element("a", { href: `?${new URLSearchParams(one.address)}` }, one.name),
        element("span", {}, ...(feed ? [element("a", { href: feed, "aria-label": say("feed_of", { name: one.name }) }, say("feed")), " "] : []), away),
        this.news.row(one.name, feed));
    }));
  }
}
