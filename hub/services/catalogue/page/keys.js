// Keys for the pixels of products, where the service of tiles has a host name of its own and gets no cookie of this page's.
import { post } from "./asking.js";

const EARLY = 900; // seconds before its end
const MOST = 200;

export class Keys {
  // `address` gives keys, by the session of this page.
  constructor(address) {
    [this.address, this.known, this.coming] = [address, new Map(), new Map()];
  }

  // A key that lives for a while.
  async of(item) {
    const known = this.known.get(nameOf(item));
    return known && !isOld(known) ? known.text : this.another(item);
  }

  // The key as it is now, for an address that is needed at once; where it ends soon, the next one is on its way.
  now(item) {
    const known = this.known.get(nameOf(item));
    if (!known || isOld(known)) this.another(item).catch(() => {}); // the tile that it does not open says why
    return known?.text ?? "";
  }

  another(item) {
    const name = nameOf(item);
    if (!this.coming.has(name)) {
      const coming = post(this.address, { collection: item.collection, item: item.id }).then(({ key, seconds }) => {
        this.known.delete(name);
        this.known.set(name, { text: key, ends: Date.now() + seconds * 1000 }); // by this clock alone
        if (this.known.size > MOST) this.known.delete(this.known.keys().next().value);
        return key;
      });
      this.coming.set(name, coming.finally(() => this.coming.delete(name)));
    }
    return this.coming.get(name);
  }
}

const nameOf = ({ collection, id }) => JSON.stringify([collection, id]);
const isOld = ({ ends }) => Date.now() > ends - EARLY * 1000;
