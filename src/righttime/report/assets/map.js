// The map: a canvas of both sides, coloured, zoomed, with the order played from its first row to its last.
(() => {
  const el = RT.el;
  const CELLS = 96; // of the grid in which rows are looked up, along each side

  RT.map = (rows) => {
    const { pool, target } = rows, n = pool.row.length, m = target.row.length;
    let order = rows.orders[0], upTo = order.n, mode = "order", zoom = 1, centre = [0.5, 0.5], pinned = null, playing = 0, groups = [];
    const canvas = el("canvas", { tabindex: "0", role: "img", "aria-label": "Map of pool and target rows. Arrow keys move, plus and minus zoom, 0 shows all, N and P walk along the order, Enter opens the row." });
    const side = el("div", { class: "side", "aria-live": "polite" }, el("p", { class: "hint" }, "Point at a row to read it; click to keep it here. Keys: arrows, + − 0, N and P walk along the order."));
    const legend = el("div");
    const pen = canvas.getContext("2d");

    // --- colours: groups of rows that share one, drawn together
    function coloured() {
      const names = [], of = new Uint16Array(n), out = names.push(["left out", RT.colour("point")]) - 1;
      const inside = (i) => order.position[i] !== RT.NONE32;
      const scaled = (name, share) => {
        const labels = Array.from({ length: RT.STEPS }, (_, k) => names.push([k === 0 ? `first ${name}` : k === RT.STEPS - 1 ? `last ${name}` : "", RT.scale((k + 0.5) / RT.STEPS)]) - 1);
        for (let i = 0; i < n; i++) of[i] = inside(i) ? labels[Math.min(RT.STEPS - 1, Math.floor(share(i) * RT.STEPS))] : out;
      };
      const largest = (codes, dictionary) => {
        const counts = new Map();
        for (let i = 0; i < n; i++) counts.set(codes[i], (counts.get(codes[i]) || 0) + 1);
        const kept = [...counts].filter(([code]) => code !== RT.NONE16).sort((a, b) => b[1] - a[1]).slice(0, 7).map(([code]) => code);
        const label = new Map(kept.map((code, place) => [code, names.push([dictionary[code], RT.COLOURS[place]]) - 1]));
        const others = names.push(["others", RT.COLOURS[7]]) - 1;
        for (let i = 0; i < n; i++) of[i] = label.get(codes[i]) ?? others;
      };
      if (mode === "order") scaled("row", (i) => order.position[i] / order.n);
      else if (mode === "round") {
        let last = 1;
        for (const i of order.inOrder) last = Math.max(last, order.round[i]);
        scaled("round", (i) => Math.log1p(order.round[i]) / Math.log1p(last + 1));
      } else if (mode === "task") largest(pool.task, rows.names.task);
      else if (mode === "reason") {
        const label = new Map(rows.names.reason.map((name, code) => [code, names.push([`left out: ${name}`, RT.COLOURS[(code + 1) % 7]]) - 1]));
        const chosen = names.push(["arranged", RT.COLOURS[0]]) - 1;
        for (let i = 0; i < n; i++) of[i] = inside(i) ? chosen : label.get(order.reason[i]) ?? out;
      } else {
        const label = rows.orders.map((one, place) => names.push([`earliest in ${one.name}`, RT.COLOURS[place % 7]]) - 1);
        for (let i = 0; i < n; i++) {
          let first = out, best = RT.NONE32;
          rows.orders.forEach((one, place) => { if (one.position[i] < best) { best = one.position[i]; first = label[place]; } });
          of[i] = first;
        }
      }
      groups = names.map(([name, colour]) => ({ name, colour, rows: [] }));
      for (let i = 0; i < n; i++) if (pool.x[i] !== RT.NONE16) groups[of[i]].rows.push(i);
      for (const group of groups) group.rows.sort((a, b) => order.position[b] - order.position[a]); // the first ones on top
      const used = groups.filter((group) => group.name && group.rows.length).map((group) => [group.name, group.colour]);
      legend.replaceChildren(RT.legend([...used, ["target row", RT.colour("text"), "diamond"]]));
    }

    // --- drawing
    const view = () => {
      const { clientWidth: wide, clientHeight: high } = canvas, size = Math.min(wide, high) * 0.94 * zoom;
      return { wide, high, size, left: wide / 2 - centre[0] * size, top: high / 2 - centre[1] * size };
    };
    let asked = 0;
    const draw = () => { asked ||= requestAnimationFrame(() => { asked = 0; paint(); }); };
    function paint() {
      const { wide, high, size, left, top } = view(), ratio = devicePixelRatio || 1;
      if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) { canvas.width = Math.round(wide * ratio); canvas.height = Math.round(high * ratio); }
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.fillStyle = RT.colour("back");
      pen.fillRect(0, 0, wide, high);
      const k = size / 65534, dot = Math.max(1.6, Math.min(6, (n > 20000 ? 1.6 : n > 4000 ? 2.4 : 3.6) * Math.sqrt(zoom)));
      const spread = (list, colour, alpha, width) => {
        pen.fillStyle = colour;
        pen.globalAlpha = alpha;
        const half = width / 2;
        for (let p = 0; p < list.length; p++) {
          const i = list[p], x = left + pool.x[i] * k, y = top + pool.y[i] * k;
          if (x > -width && y > -width && x < wide + width && y < high + width) pen.fillRect(x - half, y - half, width, width);
        }
      };
      const late = [];
      for (const group of groups) {
        if (group.name === "left out") { spread(group.rows, group.colour, 0.35, dot * 0.8); continue; }
        if (upTo >= order.n) { spread(group.rows, group.colour, 0.9, dot); continue; }
        const now = group.rows.filter((i) => order.position[i] < upTo), rest = group.rows.filter((i) => order.position[i] >= upTo);
        spread(rest, RT.colour("point"), 0.25, dot * 0.8);
        late.push([now, group.colour]);
      }
      for (const [list, colour] of late) spread(list, colour, 0.95, dot * 1.3);
      pen.globalAlpha = 1;
      pen.fillStyle = RT.colour("text");
      pen.strokeStyle = RT.colour("back");
      const d = dot * 1.1 + 1.6;
      for (let j = 0; j < m; j++) {
        if (target.x[j] === RT.NONE16) continue;
        const x = left + target.x[j] * k, y = top + target.y[j] * k;
        pen.beginPath();
        pen.moveTo(x, y - d); pen.lineTo(x + d, y); pen.lineTo(x, y + d); pen.lineTo(x - d, y); pen.closePath();
        pen.fill();
        pen.stroke();
      }
      if (pinned) {
        const [from, i] = pinned, x = left + rows[from].x[i] * k, y = top + rows[from].y[i] * k;
        pen.strokeStyle = RT.COLOURS[1];
        pen.lineWidth = 2.5;
        pen.beginPath();
        pen.arc(x, y, d + 5, 0, 7);
        pen.stroke();
        pen.lineWidth = 1;
      }
    }
    RT.paintMap = paint;

    // --- who lies where
    const grid = Array.from({ length: CELLS * CELLS }, () => []);
    const cell = (value) => Math.min(CELLS - 1, Math.floor(value / 65535 * CELLS));
    for (const from of ["pool", "target"]) for (let i = 0; i < rows[from].row.length; i++)
      if (rows[from].x[i] !== RT.NONE16) grid[cell(rows[from].y[i]) * CELLS + cell(rows[from].x[i])].push([from, i]);
    function under(px, py) {
      const { size, left, top } = view(), k = size / 65534, reach = 12 / k, x = (px - left) / k, y = (py - top) / k;
      let best = null, least = reach * reach;
      for (let row = Math.max(0, cell(y - reach)); row <= Math.min(CELLS - 1, cell(y + reach)); row++)
        for (let column = Math.max(0, cell(x - reach)); column <= Math.min(CELLS - 1, cell(x + reach)); column++)
          for (const found of grid[row * CELLS + column] || []) {
            const [from, i] = found, dx = rows[from].x[i] - x, dy = rows[from].y[i] - y, far = (dx * dx + dy * dy) * (from === "target" ? 0.4 : 1);
            if (far < least) { least = far; best = found; }
          }
      return best;
    }

    // --- pointing, moving, zooming
    const tip = document.getElementById("tip");
    let hovered = null, from = null, moved = false;
    const fingers = new Map();
    async function hover(event) {
      const box = canvas.getBoundingClientRect(), found = under(event.clientX - box.left, event.clientY - box.top);
      hovered = found;
      if (!found) { tip.hidden = true; return; }
      const said = await RT.said(rows, ...found);
      if (hovered !== found) return;
      const place = found[0] === "pool" ? RT.place(rows, order, found[1]) : null;
      tip.replaceChildren(el("b", {}, RT.short(said.id, 60)), el("span", { class: "soft" }, found[0] === "target" ? "  target row" : place === null ? "  left out" : `  place ${RT.count(place + 1)}`), el("p", {}, RT.beginning(said)));
      tip.hidden = false;
      tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + "px";
      tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)) + "px";
    }
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); fingers.set(event.pointerId, event); from = [event.clientX, event.clientY]; moved = false; });
    canvas.addEventListener("pointermove", (event) => {
      if (!fingers.size) { hover(event); return; }
      const before = fingers.get(event.pointerId);
      fingers.set(event.pointerId, event);
      const { size } = view();
      if (fingers.size === 2) {
        const [a, b] = [...fingers.values()], other = a.pointerId === event.pointerId ? b : a;
        const far = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
        zoomed(far(event) / far(before));
        moved = true;
        return;
      }
      centre = [centre[0] - (event.clientX - before.clientX) / size, centre[1] - (event.clientY - before.clientY) / size];
      moved ||= Math.hypot(event.clientX - from[0], event.clientY - from[1]) > 4;
      tip.hidden = true;
      draw();
    });
    const up = (event) => {
      fingers.delete(event.pointerId);
      if (moved || event.type === "pointercancel") return;
      const box = canvas.getBoundingClientRect();
      pin(under(event.clientX - box.left, event.clientY - box.top));
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => { hovered = null; tip.hidden = true; });
    function zoomed(by, px = canvas.clientWidth / 2, py = canvas.clientHeight / 2) {
      const before = view(), at = [(px - before.left) / before.size, (py - before.top) / before.size];
      zoom = Math.max(0.7, Math.min(200, zoom * by));
      const after = view();
      centre = [at[0] - (px - after.wide / 2) / after.size, at[1] - (py - after.high / 2) / after.size];
      draw();
    }
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== canvas) return; // the page scrolls until the map is in use
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      zoomed(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    let walked = -1;
    canvas.addEventListener("keydown", (event) => {
      const step = 0.12 / zoom;
      const act = {
        ArrowLeft: () => { centre[0] -= step; }, ArrowRight: () => { centre[0] += step; }, ArrowUp: () => { centre[1] -= step; }, ArrowDown: () => { centre[1] += step; },
        "+": () => zoomed(1.4), "=": () => zoomed(1.4), "-": () => zoomed(1 / 1.4), 0: () => { zoom = 1; centre = [0.5, 0.5]; },
        n: () => walk(1), p: () => walk(-1), Enter: () => { if (pinned) RT.go(...pinned); },
      }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      act();
      draw();
    });
    function walk(by) {
      walked = Math.max(0, Math.min(order.inOrder.length - 1, walked + by));
      pin(["pool", order.inOrder[walked]]);
    }
    async function pin(found) {
      if (!found) return;
      pinned = found;
      draw();
      const shown = found[0] === "pool" ? await RT.poolDetail(rows, order, found[1]) : await RT.targetFacts(rows, order, found[1]);
      if (pinned !== found) return;
      side.replaceChildren(el("p", {}, el("button", { type: "button", onclick: () => RT.go(...found) }, found[0] === "pool" ? "Open among the pool rows" : "Open among the target rows")), shown);
    }

    // --- controls
    const slider = el("input", { type: "range", min: "0", max: String(order.n), value: String(order.n), "aria-label": "Rows of the order that are shown" });
    const told = el("output", { class: "soft" });
    const setUpTo = (value) => { upTo = value; slider.value = String(Math.round(value)); told.textContent = `first ${RT.count(Math.round(value))} of ${RT.count(order.n)} rows`; draw(); };
    slider.addEventListener("input", () => { stop(); setUpTo(Number(slider.value)); });
    const speed = el("select", { "aria-label": "Speed" }, [["20", "slow"], ["8", "normal"], ["3", "fast"]].map(([seconds, name]) => el("option", { value: seconds, selected: name === "normal" }, name)));
    const play = el("button", { type: "button", onclick: () => playing ? stop() : start() }, "▶ play");
    function stop() { cancelAnimationFrame(playing); playing = 0; play.textContent = "▶ play"; }
    function start() {
      if (upTo >= order.n) setUpTo(0);
      play.textContent = "❚❚ pause";
      let last = performance.now();
      const frame = (now) => {
        setUpTo(Math.min(order.n, upTo + order.n * (now - last) / 1000 / Number(speed.value)));
        last = now;
        if (upTo < order.n) playing = requestAnimationFrame(frame); else stop();
      };
      playing = requestAnimationFrame(frame);
    }
    const modes = [["order", "place in the order"], order.has_rounds ? ["round", "round"] : null, rows.names.task.length > 1 ? ["task", "task"] : null, ["reason", "arranged or left out"],
      rows.orders.length > 1 ? ["method", "which arrangement takes it first"] : null].filter(Boolean);
    const colourBy = el("select", { "aria-label": "Colour", onchange: () => { mode = colourBy.value; coloured(); draw(); } }, modes.map(([value, name]) => el("option", { value }, name)));
    RT.onOrder((one) => { stop(); order = one; slider.max = String(order.n); walked = -1; if (mode === "round" && !order.has_rounds) { mode = "order"; colourBy.value = mode; } coloured(); setUpTo(order.n); });
    RT.onTheme(() => { coloured(); draw(); });
    new ResizeObserver(draw).observe(canvas);
    coloured();
    setUpTo(order.n);
    return el("div", {}, el("div", { class: "bar" }, RT.orderChooser(rows), el("label", {}, "Colour", colourBy), play, el("label", {}, "Speed", speed), el("label", { class: "grow" }, slider), told,
      el("button", { type: "button", "aria-label": "Zoom in", onclick: () => zoomed(1.5) }, "+"), el("button", { type: "button", "aria-label": "Zoom out", onclick: () => zoomed(1 / 1.5) }, "−"),
      el("button", { type: "button", onclick: () => { zoom = 1; centre = [0.5, 0.5]; draw(); } }, "Show all")), legend, el("div", { class: "map" }, canvas, side),
      el("p", { class: "caption" }, "Near on the map often means alike; far says little. Similarities stand beside the rows."));
  };
})();
