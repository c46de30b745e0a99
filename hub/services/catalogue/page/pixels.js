// The pixels of one product, as the lab's service of tiles gives them: ways to draw it, tiles, statistics, values at a point.
import { answer, noSession, told } from "./asking.js";

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
    [this.base, this.item, this.known, this.refused] = [base, item, new Map(), new Map()];
    this.place = `${base}${encodeURIComponent(item.collection)}/${encodeURIComponent(item.id)}`;
  }

  tiles(way) {
    return `${this.place}/tiles/{z}/{x}/{y}.png?${parameters(way)}`;
  }

  // Whom the hub knows is known there after its login, which asks nothing; for others it ends elsewhere.
  async asked(address) {
    const came = await answer(address);
    if (came.status !== 401) return came;
    const again = await answer(`${this.base}login?next=${encodeURIComponent(address)}`).catch(() => null); // at another site
    const path = (url) => decodeURIComponent(new URL(url, location.href).pathname);
    if (!again || path(again.url) !== path(address)) throw noSession();
    return again;
  }

  async ask(path) {
    return told(await this.asked(`${this.place}/${path}`));
  }

  // Why a tile did not come: an error, or nothing if it comes now.
  async why(tile) {
    const came = await this.asked(tile);
    if (!came.ok) await told(came);
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

  // What the colours of a way mean.
  meaning(way) {
    return this.once(`legend.json?${parameters(way)}`);
  }

  // The numbers that are darkest and brightest in each band of a way; none for classes.
  async ranges(way) {
    return (await this.meaning(way)).ranges ?? [];
  }

  legend(way) {
    return `${this.place}/legend.png?${parameters(way)}`;
  }

  // The value of each band at a point: name, other names, value; null is no data. A band that cannot be read, such as one
  // that needs a terrain model, has the reason instead, and is not asked again.
  async values({ lng, lat }) {
    const { band_descriptions: bands } = await this.once("info");
    const wanted = bands.slice(0, MOST);
    const readable = wanted.filter(([name]) => !this.refused.has(name)).map(([name]) => name);
    const groups = [];
    for (let begin = 0; begin < readable.length; begin += BANDS) groups.push(readable.slice(begin, begin + BANDS));
    const point = `point/${lng.toFixed(7)},${lat.toFixed(7)}`;
    const found = new Map((await Promise.all(groups.map((group) => this.valuesOf(point, group)))).flat());
    if (!found.size && this.refused.size) throw new Error([...this.refused.values()][0]);
    return wanted.map(([name, names]) => ({ name, names, value: found.get(name) ?? null, reason: this.refused.get(name) }));
  }

  async valuesOf(point, bands) {
    try {
      const { values } = await this.ask(`${point}?${parameters({ bands })}`);
      return bands.map((name, n) => [name, values[n]]);
    } catch (error) {
      if (error.status !== 422) throw error;
      if (bands.length > 1) return (await Promise.all(bands.map((name) => this.valuesOf(point, [name])))).flat();
      this.refused.set(bands[0], error.message);
      return [];
    }
  }
}
