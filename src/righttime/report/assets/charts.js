// Lines with bands (uPlot), and intervals beside zero (SVG).
(() => {
  const el = RT.el;
  const look = (series, place) => series.grey ? { colour: RT.COLOURS[7], dash: [] } : { colour: RT.COLOURS[place % 7], dash: place >= 7 ? [6, 4] : [] };
  const faint = (colour) => colour + "2b";

  RT.chart = (block) => {
    const holder = el("div");
    const looks = block.series.map(look);
    const log = block.x.log && block.series.every((one) => one.x.every((x) => x > 0));
    let plot = null;

    function options() {
      const axis = { stroke: RT.colour("soft"), grid: { stroke: RT.colour("line"), width: 1 }, ticks: { stroke: RT.colour("line") }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif" };
      const series = [{}], bands = [];
      block.series.forEach((one, place) => {
        const few = one.x.length < 40;
        series.push({ label: one.name, stroke: looks[place].colour, width: one.grey ? 1 : 2, dash: looks[place].dash, points: { show: few, size: 5 } });
        if (one.low) {
          series.push({ stroke: faint(looks[place].colour), width: 0.5, points: { show: false } }, { stroke: faint(looks[place].colour), width: 0.5, points: { show: false } });
          bands.push({ series: [series.length - 1, series.length - 2], fill: faint(looks[place].colour) });
        }
      });
      return {
        width: Math.max(260, holder.clientWidth), height: 300, series, bands, legend: { show: false }, cursor: { y: false, drag: { x: true } },
        scales: { x: { time: false, distr: log ? 3 : 1 } },
        axes: [{ ...axis, label: block.x.label }, { ...axis, label: block.y.label, size: 62 }],
        hooks: { draw: [marks] },
      };
    }
    function marks(u) {
      for (const mark of block.marks) {
        const x = Math.round(u.valToPos(mark.x, "x", true));
        u.ctx.save();
        u.ctx.strokeStyle = mark.series === null ? RT.colour("soft") : looks[mark.series].colour;
        u.ctx.setLineDash([3, 3]);
        u.ctx.beginPath();
        u.ctx.moveTo(x, u.bbox.top);
        u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
        u.ctx.stroke();
        u.ctx.restore();
      }
    }
    const data = uPlot.join(block.series.map((one) => one.low ? [one.x, one.y, one.low, one.high] : [one.x, one.y]));
    const draw = () => { if (plot) plot.destroy(); holder.replaceChildren(); plot = new uPlot(options(), data, holder); };
    RT.whenSeen(holder, () => {
      draw();
      RT.onTheme(draw);
      new ResizeObserver(() => plot.setSize({ width: Math.max(260, holder.clientWidth), height: 300 })).observe(holder);
    });
    const xs = [...new Set(block.series.flatMap((one) => one.x))].sort((a, b) => a - b);
    const columns = [{ name: block.x.label, align: "right" }, ...block.series.map((one) => ({ name: one.name, align: "right" }))];
    const numbers = () => RT.table({ title: "", caption: "", columns, rows: xs.map((x) => [x, ...block.series.map((one) => one.y[one.x.indexOf(x)] ?? null)]) });
    const said = block.marks.length ? " Dashed: " + block.marks.map((mark) => `${mark.label} ${RT.number(mark.x)}`).join(", ") + "." : "";
    const details = el("details", { ontoggle: () => { if (details.open && details.children.length === 1) details.append(numbers()); } }, el("summary", {}, "As a table"));
    return el("figure", { "aria-label": RT.shown(block.title) }, el("h3", {}, RT.shown(block.title)),
      block.series.length > 1 ? RT.legend(block.series.map((one, place) => [one.name, looks[place].colour, looks[place].dash.length ? "line dashed" : "line"])) : null,
      holder, el("figcaption", {}, RT.shown(block.caption + said)), details);
  };

  RT.intervals = (block) => {
    const rows = block.rows, high = 34, left = 150, width = 760, right = 20;
    const values = rows.flatMap((row) => [row.value, row.low, row.high]).filter((value) => value !== null).concat(0);
    const pad = (Math.max(...values) - Math.min(...values) || 1) * 0.08;
    const [low, top] = [Math.min(...values) - pad, Math.max(...values) + pad];
    const x = (value) => left + (value - low) / (top - low) * (width - left - right);
    const drawn = RT.svg("svg", { viewBox: `0 0 ${width} ${rows.length * high + 50}`, width, role: "img", "aria-label": RT.shown(block.title) + ": the numbers are in the table below" });
    const draw = () => {
      drawn.replaceChildren(RT.svg("line", { x1: x(0), x2: x(0), y1: 4, y2: rows.length * high + 8, stroke: RT.colour("soft") }));
      for (const value of ticks(low, top)) {
        const label = RT.svg("text", { x: x(value), y: rows.length * high + 26, "text-anchor": "middle", fill: RT.colour("soft") });
        label.textContent = RT.number(value);
        drawn.append(RT.svg("line", { x1: x(value), x2: x(value), y1: 4, y2: rows.length * high + 8, stroke: RT.colour("line") }), label);
      }
      rows.forEach((row, place) => {
        const y = place * high + high / 2 + 4, colour = RT.COLOURS[place % 7];
        const name = RT.svg("text", { x: left - 12, y: y + 4, "text-anchor": "end", fill: RT.colour("text") });
        name.textContent = RT.short(row.name, 22);
        if (row.low !== null && row.high !== null) drawn.append(RT.svg("line", { x1: x(row.low), x2: x(row.high), y1: y, y2: y, stroke: colour, "stroke-width": 3 }));
        drawn.append(RT.svg("circle", { cx: x(row.value), cy: y, r: 5, fill: colour }), name);
      });
      const label = RT.svg("text", { x: (left + width - right) / 2, y: rows.length * high + 44, "text-anchor": "middle", fill: RT.colour("soft") });
      label.textContent = block.label;
      drawn.append(label);
    };
    draw();
    RT.onTheme(draw);
    const columns = [{ name: "order" }, { name: "value", align: "right" }, { name: "from", align: "right" }, { name: "to", align: "right" }, { name: "verdict" }];
    return el("figure", {}, el("h3", {}, RT.shown(block.title)), drawn, el("figcaption", {}, RT.shown(block.caption)),
      RT.table({ title: "", caption: "", columns, rows: rows.map((row) => [row.name, row.value, row.low, row.high, row.note]) }));
  };

  function ticks(low, high) {
    const raw = (high - low) / 5, size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((n) => n * size).find((n) => n >= raw);
    const found = [];
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(Number(value.toPrecision(12)));
    return found;
  }

  // Draw what is far down the page only when it comes near; all of it before printing.
  const waiting = new Map();
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && waiting.has(entry.target)) run(entry.target);
  }, { rootMargin: "600px" });
  function run(holder) {
    const draw = waiting.get(holder);
    waiting.delete(holder);
    seen.unobserve(holder);
    draw();
  }
  RT.whenSeen = (holder, draw) => { waiting.set(holder, draw); seen.observe(holder); };
  addEventListener("beforeprint", () => { for (const holder of [...waiting.keys()]) run(holder); });
})();
