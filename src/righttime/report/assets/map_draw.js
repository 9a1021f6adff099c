/* The map's picture: points stamped into one buffer of pixels, so that 50,000 rows pan without a stutter. */
(function (rt) {
  "use strict";

  const CELLS = 128, WIDE = 65535;

  /** The rows by the cell of a grid they lie in, to find the nearest one. */
  rt.Grid = class {
    constructor(x, y) {
      this.x = x;
      this.y = y;
      this.start = new Uint32Array(CELLS * CELLS + 1);
      this.rows = new Uint32Array(x.length);
      const cell = (at) => this.cell(x[at]) + CELLS * this.cell(y[at]);
      for (let at = 0; at < x.length; at++) this.start[cell(at) + 1]++;
      for (let at = 0; at < CELLS * CELLS; at++) this.start[at + 1] += this.start[at];
      const next = this.start.slice();
      for (let at = 0; at < x.length; at++) this.rows[next[cell(at)]++] = at;
    }

    cell(value) { return Math.min(CELLS - 1, Math.max(0, Math.floor((value * CELLS) / (WIDE + 1)))); }

    /** Calls `work(row, squared distance)` for each row within `reach` of a point. */
    around(x, y, reach, work) {
      const left = this.cell(x - reach), right = this.cell(x + reach);
      for (let down = this.cell(y - reach); down <= this.cell(y + reach); down++) {
        for (let at = this.start[down * CELLS + left]; at < this.start[down * CELLS + right + 1]; at++) {
          const row = this.rows[at], far = (this.x[row] - x) ** 2 + (this.y[row] - y) ** 2;
          if (far <= reach * reach) work(row, far);
        }
      }
    }
  };

  /** The shapes of kinds on paper, where their colours may be greys: the sign of the legend, and what lies inside. */
  rt.SHAPES = [
    { sign: "\u25cf", inside: (x, y, r) => Math.hypot(x, y) <= r },
    { sign: "\u25b2", inside: (x, y, r) => y <= r * 0.8 && y >= -r && Math.abs(x) <= (y + r) * 0.6 },
    { sign: "\u25a1", inside: (x, y, r) => Math.max(Math.abs(x), Math.abs(y)) <= r * 0.85 && Math.max(Math.abs(x), Math.abs(y)) > r * 0.5 },
    { sign: "\u271a", inside: (x, y, r) => Math.min(Math.abs(x), Math.abs(y)) <= r * 0.3 && Math.max(Math.abs(x), Math.abs(y)) <= r },
    { sign: "\u25cb", inside: (x, y, r) => Math.hypot(x, y) <= r && Math.hypot(x, y) > r * 0.6 },
    { sign: "\u2716", inside: (x, y, r) => Math.abs(Math.abs(x) - Math.abs(y)) <= r * 0.35 && Math.max(Math.abs(x), Math.abs(y)) <= r * 0.85 },
    { sign: "\u25bc", inside: (x, y, r) => -y <= r * 0.8 && -y >= -r && Math.abs(x) <= (r - y) * 0.6 },
    { sign: "\u2022", inside: (x, y, r) => Math.hypot(x, y) <= r * 0.55 },  // of all other kinds
  ];

  /** The offsets of a shape's pixels: a disc, a diamond with a rim, or one of `rt.SHAPES`. */
  function stamp(radius, diamond, shape) {
    const inside = [], rim = [], whole = Math.ceil(radius + 1);
    for (let dy = -whole; dy <= whole; dy++) {
      for (let dx = -whole; dx <= whole; dx++) {
        const far = diamond ? Math.abs(dx) + Math.abs(dy) : Math.hypot(dx, dy);
        if (shape ? shape.inside(dx, dy, radius) : far <= radius) inside.push(dx, dy);
        else if (diamond && far <= radius + 1.6) rim.push(dx, dy);
      }
    }
    return { inside: Int16Array.from(inside), rim: Int16Array.from(rim), whole };
  }

  rt.Picture = class {
    constructor(canvas) {
      this.canvas = canvas;
      this.brush = canvas.getContext("2d", { alpha: false });
      this.view = null;  // scale, x, y: pixels = (data - x) * scale
    }

    /** Fit the buffer to the canvas; what was in the middle stays there. */
    fit() {
      const ratio = this.finer ? Math.max(3, devicePixelRatio) : devicePixelRatio || 1;
      if (!this.finer || !this.size) this.size = [this.canvas.clientWidth, this.canvas.clientHeight];  // on paper that of the screen
      const [width, height] = this.size.map((one) => Math.max(1, Math.round(one * ratio)));
      if (this.buffer && this.canvas.width === width && this.canvas.height === height) return;
      const middle = this.view && this.data(this.canvas.width / 2, this.canvas.height / 2);
      this.canvas.width = width;
      this.canvas.height = height;
      this.ratio = ratio;
      this.image = this.brush.createImageData(width, height);
      this.buffer = new Uint32Array(this.image.data.buffer);
      if (!middle) { this.reset(); return; }
      this.view.x = middle[0] - width / 2 / this.view.scale;
      this.view.y = middle[1] - height / 2 / this.view.scale;
    }

    /** For paper, finer than for the screen; afterwards what was in sight is again. */
    printed(on) {
      if (on === Boolean(this.finer)) return;
      this.finer = on;
      if (!this.view) return;
      const was = this.ratio, screen = on ? { ...this.view } : this.onScreen;
      this.fit();
      this.view = on ? { ...screen, scale: screen.scale * this.ratio / was } : screen;
      this.onScreen = screen;
    }

    /** The whole map in sight. */
    reset() {
      const room = 24 * this.ratio, { width, height } = this.canvas;
      const scale = Math.max(1e-6, Math.min(width - room, height - room)) / WIDE;
      this.view = { scale, x: WIDE / 2 - width / 2 / scale, y: WIDE / 2 - height / 2 / scale };
    }

    zoom(factor, at) {
      const { width, height } = this.canvas, least = (Math.min(width, height) * 0.5) / WIDE, most = 400 * least;
      const scale = Math.min(most, Math.max(least, this.view.scale * factor));
      const [px, py] = at || [width / 2, height / 2];
      this.view = { scale, x: this.view.x + px / this.view.scale - px / scale, y: this.view.y + py / this.view.scale - py / scale };
    }

    pan(dx, dy) {
      this.view.x -= dx / this.view.scale;
      this.view.y -= dy / this.view.scale;
    }

    /** Where a point of the canvas (in its pixels) lies in the data. */
    data(px, py) { return [this.view.x + px / this.view.scale, this.view.y + py / this.view.scale]; }
    pixel(x, y) { return [(x - this.view.x) * this.view.scale, (y - this.view.y) * this.view.scale]; }

    clear(ground) { this.buffer.fill(ground); }

    /** Stamp rows, in their order: `rows` (indices), `x`, `y`, `colours` (packed, by row), `radius` in CSS pixels, `kinds` (shapes). */
    points(rows, n, x, y, colours, radius, diamond, rim, kinds) {
      const { buffer } = this, { width, height } = this.canvas, { scale, x: left, y: top } = this.view;
      const shape = stamp(radius * this.ratio, diamond), { whole } = shape, edge = shape.rim;
      const shapes = kinds ? rt.SHAPES.map((one) => stamp(radius * this.ratio, false, one).inside) : null;
      for (let i = 0; i < n; i++) {
        const row = rows[i];
        const px = ((x[row] - left) * scale) | 0, py = ((y[row] - top) * scale) | 0;
        if (px < whole || py < whole || px >= width - whole || py >= height - whole) continue;
        const at = py * width + px, colour = colours[row], inside = shapes ? shapes[kinds[row]] : shape.inside;
        for (let j = 0; j < edge.length; j += 2) buffer[at + edge[j + 1] * width + edge[j]] = rim;
        for (let j = 0; j < inside.length; j += 2) buffer[at + inside[j + 1] * width + inside[j]] = colour;
      }
    }

    paint() { this.brush.putImageData(this.image, 0, 0); }

    /** A ring around one point. */
    ring(x, y, colour, radius) {
      const [px, py] = this.pixel(x, y);
      this.brush.strokeStyle = colour;
      this.brush.lineWidth = 2.5 * this.ratio;
      this.brush.beginPath();
      this.brush.arc(px, py, radius * this.ratio, 0, 2 * Math.PI);
      this.brush.stroke();
    }
  };
})(righttime);
