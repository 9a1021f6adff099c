/* The map: colours and legend, pointer and keys, the slider that plays the order, the panel of a pinned row. */
(function (rt) {
  "use strict";

  const REACH = 10, SECONDS = 20;

  rt.mapView = function (state) {
    if (!state.rows.has_map || !state.rows.pool.x) return [rt.make("p", { class: "caption", text: "There is no map in this page." })];
    const map = new MapView(state);
    return [map.controls, map.element];
  };

  class MapView {
    constructor(state) {
      this.state = state;
      this.pool = state.rows.pool;
      this.target = state.rows.target;
      this.grids = { pool: new rt.Grid(this.pool.x, this.pool.y), target: this.target.x ? new rt.Grid(this.target.x, this.target.y) : null };
      this.colourings = rt.colourings(state);
      this.by = this.colourings.find((one) => !one.amount || Number.isFinite(rt.firstOf(one, this.pool.x.length))) || this.colourings[0];
      this.colours = new Uint32Array(this.pool.x.length);
      this.until = Infinity;
      this.pinned = this.hovered = null;
      this.targets = { on: true, colours: null, rows: this.target.x ? Uint32Array.from(this.onMap("target")) : new Uint32Array(0) };
      this.build();
      this.layers();
      this.picture = new rt.Picture(this.canvas);
      this.listen();
      new ResizeObserver(() => this.ask()).observe(this.canvas);
      state.listeners.push(() => { this.layers(); this.ask(); });
      rt.onTheme(() => { this.picture.printed(rt.printing()); this.paint(); this.draw(); });  // at once: paper does not wait for a frame
    }

    onMap(side) { return rt.indices(this.state.rows[side].x.length).filter((row) => this.state.rows[side].x[row] !== rt.NONE16 || this.state.rows[side].y[row] !== rt.NONE16); }

    build() {
      this.canvas = rt.make("canvas", { tabindex: "0", role: "application", "aria-label": "Map of pool and target rows", "aria-describedby": "map-keys", "aria-roledescription": "map" });
      this.tip = rt.make("div", { class: "tip", hidden: true });
      const zoom = (name, label, work) => rt.button(name, () => { work(); this.ask(); }, { "aria-label": label });
      const box = rt.make("div", { class: "map-box" }, this.canvas, this.tip, rt.make("div", { class: "map-zoom" },
        zoom("+", "Zoom in", () => this.picture.zoom(1.5)), zoom("\u2212", "Zoom out", () => this.picture.zoom(1 / 1.5)),
        zoom("\u2922", "Show the whole map", () => this.picture.reset())));
      this.legend = rt.make("div", {});
      this.side = rt.make("aside", { class: "map-side", tabindex: "0", "aria-label": "Pinned row" }, rt.make("p", { class: "caption", text: "Click a point to pin it here." }));
      const keys = rt.make("p", { class: "keys", id: "map-keys", text: "Circles are pool rows, diamonds target rows. Keys: arrows pan, + and \u2212 zoom, 0 shows all, n and p walk from point to point, Enter pins." });
      this.player();
      this.element = rt.make("div", { class: "map" }, rt.make("div", {}, box, this.playing, this.legend, keys), this.side);
      const shown = rt.make("input", { type: "checkbox", checked: true, on: { change: () => { this.targets.on = shown.checked; this.ask(); } } });
      this.controls = rt.make("div", { class: "controls" }, rt.orderChooser(this.state),
        this.colourings.length ? rt.select("Colour by", this.colourings.map((one) => [one.key, one.name]), (key) => {
          this.by = this.colourings.find((one) => one.key === key);
          this.paint();
          this.ask();
        }, this.by.key) : null, rt.make("label", { class: "tick" }, shown, "Target rows"));
    }

    /** Slider, button and speed. */
    player() {
      const { order } = this.state;
      this.slider = rt.make("input", { type: "range", min: "0", max: order ? order.n : 0, value: order ? order.n : 0, step: "1", "aria-label": "Rows of the order that are shown", on: {
        input: () => { this.stop(); this.go(Number(this.slider.value)); } } });
      this.output = rt.make("output", {});
      this.speed = rt.select("Speed", [[0.25, "\u00bc\u00d7"], [1, "1\u00d7"], [4, "4\u00d7"]], () => {}, 1);
      this.speed.querySelector("select").setAttribute("aria-label", "Speed");
      this.button = rt.button("\u25b6 Play", () => (this.timer ? this.stop() : this.play()), { "aria-label": "Play the order" });
      this.playing = rt.make("div", { class: "player" }, this.button, this.slider, this.output, this.speed);
      this.playing.hidden = !order;
    }

    play() {
      const { n } = this.state.order;
      if (this.until >= n) this.until = 0;
      let last = performance.now();
      const step = (now) => {
        const rate = (n / SECONDS) * Number(this.speed.querySelector("select").value);
        this.go(Math.min(n, this.until + ((now - last) / 1000) * rate));
        last = now;
        if (this.until >= n) this.stop();
        else this.timer = requestAnimationFrame(step);
      };
      this.timer = requestAnimationFrame(step);
      this.button.textContent = "\u23f8 Pause";
      this.button.setAttribute("aria-label", "Pause");
    }

    stop() {
      if (this.timer) cancelAnimationFrame(this.timer);
      this.timer = 0;
      this.button.textContent = "\u25b6 Play";
      this.button.setAttribute("aria-label", "Play the order");
    }

    go(until) {
      this.until = until;
      this.slider.value = until;
      this.tally();
      this.ask();
    }

    tally() {
      const { order } = this.state;
      const at = Math.floor(Math.min(this.until, order.n));
      this.output.textContent = rt.count(at) + " of " + rt.count(order.n);
      this.slider.setAttribute("aria-valuetext", this.output.textContent + " rows");
    }

    /** Rows of the order by place, and those it leaves out. */
    layers() {
      const { order } = this.state, rows = this.onMap("pool");
      this.arranged = Uint32Array.from(order ? rows.filter((row) => order.position[row] !== rt.NONE32).sort((a, b) => order.position[a] - order.position[b]) : []);
      this.left = Uint32Array.from(order ? rows.filter((row) => order.position[row] === rt.NONE32) : rows);
      if (order) {
        this.stop();
        this.slider.max = order.n;
        this.go(order.n);
      }
      this.paint();
    }

    /** Colours and legend. */
    paint() {
      const grey = rt.packed(rt.dark() ? "#4a505b" : "#c3c7ce");
      this.ground = rt.packed(rt.dark() ? "#14161a" : "#ffffff");
      this.faint = grey;
      this.rim = rt.packed(rt.dark() ? "#000000" : "#ffffff");
      this.targets.colours = new Uint32Array(this.target.row.length).fill(rt.packed(rt.dark() ? "#ffffff" : "#111111"));
      this.colours.fill(grey);
      this.kindOf = null;
      this.legend.replaceChildren(...(this.by ? (this.by.amount ? this.amounts() : this.kinds()) : []));
    }

    amounts() {
      const values = Float64Array.from(this.colours, (_, row) => this.by.of(row));
      let low = Infinity, high = -Infinity;
      values.forEach((value) => { if (value < low) low = value; if (value > high) high = value; });
      if (low > high) return [rt.make("p", { class: "caption", text: "This order has no " + this.by.name + "." })];
      const ramp = Uint32Array.from({ length: 256 }, (_, at) => rt.packed(rt.amount(at / 255)));
      values.forEach((value, row) => { if (!Number.isNaN(value)) this.colours[row] = ramp[Math.floor(((value - low) / (high - low || 1)) * 255)]; });
      const bar = rt.make("span", { class: "ramp", "aria-hidden": "true" });
      bar.style.backgroundImage = "linear-gradient(to right," + rt.indices(9).map((at) => rt.amount(at / 8)).join(",") + ")";
      const write = (value) => rt.make("span", { text: rt.number(value, this.by.whole ? 0 : 3) });
      const left = this.left.length && this.state.order ? [this.entry("left out", rt.dark() ? "#4a505b" : "#c3c7ce", this.left.length)] : [];
      return [rt.make("ul", { class: "legend" }, rt.make("li", {}, this.by.name + ":", write(low), bar, write(high)), ...left)];
    }

    /** A line of the legend; on paper, with the shape of its points where kinds have one. */
    entry(name, colour, n, kind) {
      const shape = rt.printing() && kind !== undefined ? rt.SHAPES[kind].sign : null;
      const swatch = rt.make("span", { class: shape ? "sign" : "swatch", "aria-hidden": "true", text: shape || "" });
      if (shape) swatch.style.color = colour;
      else swatch.style.backgroundColor = colour;
      return rt.make("li", { dir: "auto" }, swatch, rt.make("span", { text: rt.glimpse(name, 60) }), n === undefined ? null : rt.make("span", { class: "value", text: rt.count(n) }));
    }

    /** The most frequent kinds have a colour each, the others a grey. */
    kinds() {
      const count = new Map();
      this.colours.forEach((_, row) => {
        const code = this.by.of(row);
        if (!Number.isNaN(code)) count.set(code, (count.get(code) || 0) + 1);
      });
      const ranked = [...count].sort((a, b) => b[1] - a[1]), shown = ranked.slice(0, rt.KINDS);
      const packed = new Map(shown.map(([code], at) => [code, rt.packed(rt.kind(at))])), other = rt.packed(rt.grey());
      const shapes = new Map(shown.map(([code], at) => [code, at]));
      this.kindOf = rt.printing() ? new Uint8Array(this.colours.length) : null;
      this.colours.forEach((_, row) => {
        const code = this.by.of(row);
        if (Number.isNaN(code)) return;
        this.colours[row] = packed.get(code) ?? other;
        if (this.kindOf) this.kindOf[row] = shapes.get(code) ?? rt.KINDS;
      });
      const entries = shown.map(([code, n], at) => this.entry(this.by.label(code), rt.kind(at), n, at));
      if (ranked.length > shown.length) entries.push(this.entry(rt.many(ranked.length - shown.length, "other"), rt.grey(), ranked.slice(rt.KINDS).reduce((sum, [, n]) => sum + n, 0), rt.KINDS));
      return [rt.make("ul", { class: "legend" }, ...entries)];
    }

    ask() {
      if (!this.asked) this.asked = requestAnimationFrame(() => { this.asked = 0; this.draw(); });
    }

    draw() {
      const { picture, pool, target } = this, { order } = this.state;
      if (!picture || !this.canvas.clientWidth) return;
      picture.fit();
      const start = performance.now();
      picture.clear(this.ground);
      const zoomed = picture.view.scale * 65535 / Math.min(this.canvas.width, this.canvas.height);
      const few = pool.x.length > 8000 ? 1.3 : pool.x.length > 500 ? 2.4 : 3.6;
      const radius = Math.min(5, (few + (this.kindOf ? 0.8 : 0)) * Math.max(1, Math.sqrt(zoomed)) * (zoomed > 1.2 ? 1 : 0.95));
      // Places on the page, which may be fewer than those of the order.
      let n = this.arranged.length;
      if (order && this.until < order.n) n = firstAt(this.arranged, order.position, this.until);
      picture.points(this.left, this.left.length, pool.x, pool.y, this.colours, order ? radius * 0.7 : radius, false, 0, this.kindOf);
      if (n < this.arranged.length) {
        const waiting = this.arranged.subarray(n);
        picture.points(waiting, waiting.length, pool.x, pool.y, this.waitingColours(), radius * 0.7, false, 0);
      }
      picture.points(this.arranged, n, pool.x, pool.y, this.colours, radius, false, 0, this.kindOf);
      if (this.targets.on && target.x) picture.points(this.targets.rows, this.targets.rows.length, target.x, target.y, this.targets.colours, radius + (pool.x.length > 8000 ? 1.8 : 2.4), true, this.rim);
      picture.paint();
      [[this.hovered, rt.ink()], [this.pinned, rt.dark() ? "#e69f00" : "#d55e00"]].forEach(([one, colour]) => {
        if (one) picture.ring(this.state.rows[one.side].x[one.row], this.state.rows[one.side].y[one.row], colour, radius + 5);
      });
      this.took = performance.now() - start;
    }

    waitingColours() {
      if (!this.waiting || this.waiting.length !== this.colours.length || this.waiting[0] !== this.faint) this.waiting = new Uint32Array(this.colours.length).fill(this.faint);
      return this.waiting;
    }

    /** The row nearest to a place in data, within a reach in CSS pixels; a target row before a pool row as near. */
    nearest(x, y, reach = REACH) {
      const far = (reach * this.picture.ratio) / this.picture.view.scale;
      let best = null, least = Infinity;
      for (const side of ["target", "pool"]) {
        if (!this.grids[side] || (side === "target" && !this.targets.on)) continue;
        this.grids[side].around(x, y, far, (row, squared) => { if (squared < least) { least = squared; best = { side, row }; } });
      }
      return best;
    }

    place(event) {
      const box = this.canvas.getBoundingClientRect();
      return [(event.clientX - box.left) * this.picture.ratio, (event.clientY - box.top) * this.picture.ratio];
    }

    listen() {
      const { canvas } = this, down = new Map();
      let moved = 0;
      canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); down.set(event.pointerId, this.place(event)); moved = 0; });
      const gone = (event) => down.delete(event.pointerId);
      canvas.addEventListener("pointercancel", gone);
      canvas.addEventListener("pointerup", (event) => {
        gone(event);
        if (moved < 5 * this.picture.ratio) this.pin(this.nearest(...this.picture.data(...this.place(event))));
      });
      canvas.addEventListener("pointermove", (event) => {
        const now = this.place(event), was = down.get(event.pointerId);
        if (!was) { this.hover(this.nearest(...this.picture.data(...now)), now); return; }
        const others = [...down].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
        if (others.length) {
          const far = (one) => Math.hypot(one[0] - others[0][0], one[1] - others[0][1]) || 1;
          this.picture.zoom(far(now) / far(was), others[0]);
        } else this.picture.pan(now[0] - was[0], now[1] - was[1]);
        moved += Math.abs(now[0] - was[0]) + Math.abs(now[1] - was[1]);
        down.set(event.pointerId, now);
        this.hover(null);
        this.ask();
      });
      canvas.addEventListener("pointerleave", () => this.hover(null));
      canvas.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && document.activeElement !== canvas) return;  // a page that is scrolled past stays as it is
        event.preventDefault();
        this.picture.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), this.place(event));
        this.ask();
      }, { passive: false });
      canvas.addEventListener("dblclick", (event) => { this.picture.zoom(2, this.place(event)); this.ask(); });
      canvas.addEventListener("keydown", (event) => this.key(event));
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = 60 * this.picture.ratio;
      const keys = {
        ArrowLeft: () => this.picture.pan(step, 0), ArrowRight: () => this.picture.pan(-step, 0),
        ArrowUp: () => this.picture.pan(0, step), ArrowDown: () => this.picture.pan(0, -step),
        "+": () => this.picture.zoom(1.4), "=": () => this.picture.zoom(1.4), "-": () => this.picture.zoom(1 / 1.4),
        0: () => this.picture.reset(), n: () => this.walk(1), p: () => this.walk(-1),
        Enter: () => this.pin(this.hovered || this.nearest(...this.centre(), 60)), Escape: () => this.hover(null),
      };
      if (!Object.hasOwn(keys, event.key)) return;
      event.preventDefault();
      if (!["n", "p", "Enter"].includes(event.key)) this.walked = null;
      keys[event.key]();
      this.ask();
    }

    centre() { return this.picture.data(this.canvas.width / 2, this.canvas.height / 2); }

    /** To the next point in sight, from the middle outward. */
    walk(step) {
      if (!this.walked) {
        const [x, y] = this.centre(), found = [];
        const reach = Math.hypot(this.canvas.width, this.canvas.height) / 2 / this.picture.view.scale;
        for (const side of ["target", "pool"]) if (this.grids[side]) this.grids[side].around(x, y, reach, (row, far) => found.push([far, side, row]));
        this.walked = found.sort((a, b) => a[0] - b[0]).map(([, side, row]) => ({ side, row }))
          .filter(({ side, row }) => this.inSight(side, row));
        this.step = step > 0 ? -1 : 0;
      }
      if (!this.walked.length) return;
      this.step = (this.step + step + this.walked.length) % this.walked.length;
      const one = this.walked[this.step];
      this.hover(one, this.picture.pixel(this.state.rows[one.side].x[one.row], this.state.rows[one.side].y[one.row]), true);
    }

    inSight(side, row) {
      const [px, py] = this.picture.pixel(this.state.rows[side].x[row], this.state.rows[side].y[row]);
      return px >= 0 && py >= 0 && px <= this.canvas.width && py <= this.canvas.height;
    }

    async hover(one, at, aloud) {
      if (!one && !this.hovered) return;
      const same = one && this.hovered && one.row === this.hovered.row && one.side === this.hovered.side;
      this.hovered = one;
      if (!same) this.ask();
      if (!one) { this.tip.hidden = true; return; }
      const row = await this.state.texts[one.side].get(one.row);
      if (this.hovered !== one) return;
      this.tip.replaceChildren(rt.make("b", { text: (one.side === "pool" ? "" : "Target: ") + rt.glimpse(row.id, 80), dir: "auto" }),
        rt.make("span", { text: rt.glimpse(rt.opening(row), 220), dir: "auto" }));
      this.tip.hidden = false;
      const ratio = this.picture.ratio, wide = this.canvas.clientWidth, high = this.canvas.clientHeight;
      const left = at[0] / ratio + 14, top = at[1] / ratio + 14;
      this.tip.style.left = Math.max(4, Math.min(left, wide - this.tip.offsetWidth - 4)) + "px";
      this.tip.style.top = Math.max(4, top + this.tip.offsetHeight > high ? top - this.tip.offsetHeight - 28 : top) + "px";
      if (aloud) rt.say((one.side === "pool" ? "Pool row " : "Target row ") + row.id + ". " + rt.glimpse(rt.opening(row), 120));
    }

    async pin(one) {
      if (!one) return;
      this.pinned = one;
      this.ask();
      const { side, row: index } = one, row = await this.state.texts[side].get(index);
      if (this.pinned !== one) return;
      const facts = [...rt.origin(this.state, side, index), ...(side === "pool" ? rt.places(this.state, index) : [])];
      const links = [];
      if (this.state.views[side]) links.push(rt.make("p", {}, rt.button("Show in the list of " + side + " rows", () => this.state.show(side, index))));
      const { order } = this.state;
      if (side === "pool" && order && order.picked_by && order.picked_by[index] !== rt.NONE32) {
        links.push(rt.make("p", {}, "Picked by ", rt.goTo(this.state, "target", order.picked_by[index])));
      }
      if (side === "target") links.push(rt.make("p", { text: "It picked " + rt.many(this.state.picks(index).length, "row") + "." }));
      this.side.replaceChildren(rt.make("h3", { text: rt.glimpse(row.id, 120), dir: "auto" }), rt.BLOCKS.facts({ rows: facts }), ...links, rt.turns(row));
      rt.say("Pinned " + row.id);
    }
  }

  /** How many rows (sorted by place) have a place before `until`. */
  function firstAt(rows, position, until) {
    let low = 0, high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (position[rows[middle]] < until) low = middle + 1;
      else high = middle;
    }
    return low;
  }
})(righttime);
