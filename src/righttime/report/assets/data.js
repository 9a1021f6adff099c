/* The data that lie in the page: JSON, columns of numbers (gzip, base64) and texts in blocks that open as they are needed. */
(function (rt) {
  "use strict";

  rt.NONE16 = 65535;
  rt.NONE32 = 4294967295;
  const KINDS = { u16: Uint16Array, u32: Uint32Array, f32: Float32Array };

  rt.json = function (id) {
    const found = document.getElementById(id);
    return found ? JSON.parse(found.textContent) : null;
  };

  function bytes(text) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const raw = atob(text), made = new Uint8Array(raw.length);
    for (let at = 0; at < raw.length; at++) made[at] = raw.charCodeAt(at);
    return made;
  }

  function inflated(text) {
    return new Response(new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip")));
  }

  async function column(kept) {
    if (!kept) return null;
    const found = new KINDS[kept.type](await inflated(kept.data).arrayBuffer());
    if (found.length !== kept.n) throw new Error("a column must have " + kept.n + " values, got " + found.length);
    return found;
  }

  async function columns(kept) {
    const names = Object.keys(kept);
    const found = await Promise.all(names.map((name) => column(kept[name])));
    return Object.fromEntries(names.map((name, at) => [name, found[at]]));
  }

  /** All columns as typed arrays; null where the page has no rows. */
  rt.readRows = async function () {
    const kept = rt.json("rows");
    if (!kept) return null;
    const [pool, target, ...orders] = await Promise.all(
      [kept.pool, kept.target, ...kept.orders.map((one) => one.columns)].map(columns));
    return { ...kept, pool, target, orders: kept.orders.map((one, at) => ({ ...one, ...orders[at] })) };
  };

  const KEPT_BLOCKS = 64;

  /** Ids and texts of one side. */
  rt.Texts = class {
    constructor(blocks, size, row) {
      this.blocks = blocks || [];
      this.size = size;
      this.row = row;
      this.open = new Map();
    }

    /** One row: its id, and its turns where the page has them. */
    async get(index) {
      const at = Math.floor(index / this.size);
      const none = { id: "row " + this.row[index], t: null, cut: 0 };
      return at < this.blocks.length ? (await this.block(at))[index - at * this.size] || none : none;
    }

    /** The row if its block is open, else null. */
    ready(index) {
      const found = this.open.get(Math.floor(index / this.size));
      return found && found.rows ? found.rows[index % this.size] : null;
    }

    block(at) {
      let found = this.open.get(at);
      if (found) this.open.delete(at);
      else {
        found = { rows: null };
        found.coming = inflated(this.blocks[at]).json().then((rows) => (found.rows = rows));
      }
      this.open.set(at, found);
      if (this.open.size > KEPT_BLOCKS) this.open.delete(this.open.keys().next().value);
      return found.coming;
    }

    /** Rows whose id or text holds `sought`; `tell(hits, share)` as it goes on, until `stop.now`. */
    async search(sought, tell, stop) {
      const wanted = sought.toLowerCase(), hits = [];
      let resting = performance.now();
      for (let at = 0; at < this.blocks.length; at++) {
        const open = this.open.get(at);
        const rows = open && open.rows ? open.rows : await inflated(this.blocks[at]).json();
        rows.forEach((row, inside) => {
          const said = row.t && row.t.some((turn) => turn[1].toLowerCase().includes(wanted));
          if (said || row.id.toLowerCase().includes(wanted)) hits.push(at * this.size + inside);
        });
        if (performance.now() - resting > 12) {
          tell(hits, (at + 1) / this.blocks.length);
          await new Promise((go) => setTimeout(go));
          resting = performance.now();
        }
        if (stop.now) return null;
      }
      return hits;
    }

    /** Words that more than a fifth of the first rows have. */
    async common() {
      if (this.found) return this.found;
      const count = new Map();
      let n = 0;
      for (let at = 0; at < Math.min(4, this.blocks.length); at++) {
        for (const row of await this.block(at)) {
          n++;
          for (const word of rt.words(rt.whole(row).slice(0, 4000))) count.set(word, (count.get(word) || 0) + 1);
        }
      }
      const most = Math.max(3, n / 5);
      return (this.found = new Set([...count].filter(([, times]) => times > most).map(([word]) => word)));
    }
  };

  rt.whole = (row) => (row.t ? row.t.map((turn) => turn[1]).join("\n") : "");
})(righttime);
