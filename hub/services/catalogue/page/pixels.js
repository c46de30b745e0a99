// The pixels of one product, as the lab's service of tiles gives them: ways to draw it, tiles, statistics, values at a point.
import { told } from "./asking.js";

const BANDS = 4; // of one request
const MOST = 40; // bands whose values are asked for

export function parameters(way) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(way)) for (const one of [value].flat()) query.append(name, one);
  return query;
}

export class Pixels {
  // `base` is the address of the service, `item` has an id and a collection.
  constructor(base, item) {
    [this.base, this.item, this.known] = [base, item, new Map()];
    this.place = `${base}${encodeURIComponent(item.collection)}/${encodeURIComponent(item.id)}`;
  }

  tiles(way) {
    return `${this.place}/tiles/{z}/{x}/{y}.png?${parameters(way)}`;
  }

  // Whom the hub knows is known there after its login, which asks nothing.
  async ask(path) {
    const address = `${this.place}/${path}`;
    let answer = await fetch(address);
    if (answer.status === 401) answer = await fetch(`${this.base}login?next=${encodeURIComponent(address)}`);
    return told(answer);
  }

  once(path) {
    if (!this.known.has(path)) {
      const coming = this.ask(path);
      coming.catch(() => this.known.delete(path)); // it may be there the next time
      this.known.set(path, coming);
    }
    return this.known.get(path);
  }

  // Ways to draw it by name, each the parameters of a request.
  ways() {
    return this.once("presets.json");
  }

  // The numbers that are darkest and brightest in each band of a way; none for classes.
  async ranges(way) {
    return (await this.once(`legend.json?${parameters(way)}`)).ranges ?? [];
  }

  legend(way) {
    return `${this.place}/legend.png?${parameters(way)}`;
  }

  // The value of each band at a point: name, other names, value; null is no data.
  async values({ lng, lat }) {
    const { band_descriptions: bands } = await this.once("info");
    const wanted = bands.slice(0, MOST);
    const groups = [];
    for (let begin = 0; begin < wanted.length; begin += BANDS) groups.push(wanted.slice(begin, begin + BANDS));
    const point = `point/${lng.toFixed(7)},${lat.toFixed(7)}`;
    const answers = await Promise.all(groups.map((group) => this.ask(`${point}?${parameters({ bands: group.map(([name]) => name) })}`)));
    return answers.flatMap(({ values }, n) => groups[n].map(([name, names], m) => ({ name, names, value: values[m] })));
  }
}
