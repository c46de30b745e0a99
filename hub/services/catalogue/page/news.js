// News of saved searches: keys for the addresses of feeds, and mails. The service keeps them, for this person alone.
import { element, get, post, send } from "./asking.js";
import { LANGUAGE, say } from "./words.js";

// The same search, however it is written.
const canonical = (text) => new URLSearchParams(new URLSearchParams(text.replace(/^.*\?/, ""))).toString();

function button(word, act, values = {}) {
  const made = element("button", { type: "button", class: "button plain small" }, say(word, values));
  made.addEventListener("click", act);
  return made;
}

export class News {
  // `changed` is called when the lists are others.
  constructor(changed) {
    Object.assign(this, { changed, told: null, fresh: new Map(), said: "" });
    this.foot = element("div");
  }

  // Nothing for who has not logged in.
  async ask() {
    this.told = await get("news").catch(() => null);
    this.tell();
  }

  async act(doing) {
    try {
      this.said = "";
      await doing();
    } catch (error) {
      this.said = error.message;
    }
    await this.ask();
  }

  // An address with a code, from a mail.
  confirm(code) {
    return this.act(async () => {
      await post("news/confirm", { code });
      this.said = say("confirmed");
    });
  }

  // Searches with mails that this browser does not have: they were saved in another one.
  others(feeds) {
    const here = new Set(feeds.filter(Boolean).map(canonical));
    return (this.told?.searches ?? []).filter(({ search }) => !here.has(canonical(search))).map(({ search, name }) => ({ name, address: `?${search}` }));
  }

  // What belongs to a search that is forgotten.
  forget(feed) {
    if (!this.told || !feed) return;
    const same = ({ search }) => canonical(search) === canonical(feed);
    const keys = this.told.keys.filter(same);
    const mails = this.told.searches.filter(same);
    if (keys.length + mails.length) {
      this.act(() => Promise.all([...keys.map(({ id }) => this.revoke(id)), ...mails.map(({ search }) => post("news/mails", { search, on: false }))]));
    }
  }

  revoke(id) {
    return send("DELETE", `news/keys/${encodeURIComponent(id)}`, undefined);
  }

  // The switches of one search.
  row(name, feed) {
    if (!this.told || !feed) return "";
    const search = feed.replace(/^.*\?/, "");
    const same = (one) => canonical(one.search) === canonical(search);
    const parts = [];
    if (this.told.mails && this.told.confirmed) {
      const box = element("input", { type: "checkbox", ...(this.told.searches.some(same) ? { checked: "" } : {}), "aria-label": say("mails_of", { name }) });
      box.addEventListener("change", () => this.act(() => post("news/mails", { search, name: name.slice(0, 80), on: box.checked })));
      parts.push(element("label", { class: "switch" }, box, ` ${say("mails")}`));
    }
    parts.push(button("reader", () => this.act(async () => {
      const { id, feed: address } = await post("news/keys", { search });
      this.fresh.set(id, new URL(address, location.href).href);
    })));
    for (const { id, ends } of this.told.keys.filter(same)) {
      const until = new Date(1000 * ends).toISOString().slice(0, 10);
      const address = this.fresh.get(id);
      parts.push(element("div", { class: "keyed" },
        ...(address ? [element("input", { type: "text", readonly: "", value: address, "aria-label": say("reader_of", { name }) }), element("small", {}, say("once"))] : []),
        element("span", {}, say("until", { until }), " ", button("revoke", () => this.act(() => this.revoke(id))))));
    }
    return element("div", { class: "news" }, ...parts);
  }

  // The lists, and what is said below them.
  tell(said = this.said) {
    this.said = said;
    this.foot.replaceChildren(...(this.told?.mails ? this.address() : []), element("p", { role: "status", id: "news-said" }, this.said));
    this.changed();
  }

  address() {
    const { address, confirmed } = this.told;
    const input = element("input", { type: "email", id: "mail-address", value: address, maxlength: "200", autocomplete: "email" });
    const give = button("mail_give", () => this.act(async () => {
      const { address: to } = await post("news/address", { address: input.value, lang: LANGUAGE });
      this.said = say("mail_sent", { to });
    }));
    const away = button("mail_forget", () => this.act(() => send("DELETE", "news/address", undefined)));
    return [element("label", { for: "mail-address" }, say("mail_address")), input,
      element("p", { class: "acts" }, give, ...(address ? [away] : [])),
      ...(address ? [element("p", { class: "soft" }, say(confirmed ? "mail_known" : "mail_open", { to: address }))] : [])];
  }
}
