/* Curves with bands, by uPlot. */
(function (rt) {
  "use strict";

  const HEIGHT = 300, ROWS = 2000;
  const WHOLE = rt.indices(12).flatMap((power) => [1, 2, 5].map((one) => one * 10 ** power));  // no half steps, rounds or rows

  /** All series over one x: uPlot's columns, and where each series has its line and its band. Bands come first, below all lines. */
  function joined(block) {
    const log = block.x.log, tables = [], places = block.series.map(() => ({ line: null, low: null, high: null }));
    const kept = block.series.map((one) => one.x.map((_, at) => at)
      .filter((at) => Number.isFinite(one.x[at]) && (!log || one.x[at] > 0)).sort((a, b) => one.x[a] - one.x[b]));
    let next = 1;
    const add = (number, ...all) => {
      tables.push([block.series[number].x, ...all].map((values) => kept[number].map((at) => (Number.isFinite(values[at]) ? values[at] : null))));
      next += all.length;
      return next - all.length;
    };
    block.series.forEach((one, number) => {
      if (!one.low || !one.high) return;
      places[number].low = add(number, one.low, one.high);
      places[number].high = places[number].low + 1;
    });
    block.series.forEach((one, number) => { places[number].line = add(number, one.y); });
    return { data: tables.length ? uPlot.join(tables) : [[]], places };
  }

  const stroke = (one, number) => (one.grey ? rt.grey() : rt.kind(number));

  function options(block, places, width) {
    const lines = [{}], bands = [];
    block.series.forEach((one, number) => {
      const colour = stroke(one, number), place = places[number], lone = one.x.length < 2;
      lines[place.line] = { label: one.name, stroke: colour, width: one.grey ? 1.25 : 2, dash: one.grey ? [] : rt.dash(number),
        points: { show: one.x.length < 25 || lone, size: 6, fill: colour } };
      if (place.low === null) return;
      for (const side of [place.low, place.high]) lines[side] = { stroke: "transparent", width: 0, points: { show: false } };
      bands.push({ series: [place.high, place.low], fill: rt.clear(colour, 0.16) });
    });
    const narrow = width < 520, whole = block.series.every((one) => one.x.every(Number.isInteger));
    const axis = (label, size) => ({ label, stroke: rt.ink(), labelSize: 22, size, labelFont: "13px system-ui, sans-serif",
      font: "12px system-ui, sans-serif", grid: { stroke: rt.faint(), width: 1 }, ticks: { stroke: rt.faint(), width: 1 } });
    const write = (_, found) => found.map((value) => (value === null ? "" : rt.number(value)));
    return {
      width, height: narrow ? 240 : HEIGHT, series: lines, bands, legend: { show: false },
      scales: { x: { time: false, distr: block.x.log ? 3 : 1 } },
      axes: [{ ...axis(block.x.label, 38), ...(block.x.log ? {} : { values: write, space: narrow ? 60 : 50, ...(whole ? { incrs: WHOLE } : {}) }) },
        { ...axis(block.y.label, (_, said) => 20 + 7 * Math.max(3, ...(said || []).map((one) => one.length))), values: write }],
      cursor: { drag: { x: false, y: false } },
      hooks: { draw: [(plot) => drawMarks(plot, block)], setCursor: [(plot) => plot.told && plot.told(plot.cursor.idx)] },
    };
  }

  function drawMarks(plot, block) {
    const { ctx, bbox } = plot, scale = devicePixelRatio;
    ctx.save();
    ctx.font = 12 * scale + "px system-ui, sans-serif";
    ctx.setLineDash([4 * scale, 4 * scale]);
    (block.marks || []).forEach((mark, number) => {
      const at = Math.round(plot.valToPos(mark.x, "x", true));
      if (!(at >= bbox.left && at <= bbox.left + bbox.width)) return;
      ctx.strokeStyle = ctx.fillStyle = mark.series === null || mark.series === undefined || !block.series[mark.series]
        ? rt.ink() : stroke(block.series[mark.series], mark.series);
      ctx.lineWidth = scale;
      ctx.beginPath();
      ctx.moveTo(at, bbox.top);
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
      const left = at > bbox.left + bbox.width * 0.6;
      ctx.textAlign = left ? "right" : "left";
      ctx.fillText(rt.glimpse(mark.label || "", 40), at + (left ? -5 : 5) * scale, bbox.top + (14 + 15 * (number % 4)) * scale);
    });
    ctx.restore();
  }

  /** Names of the series as buttons that hide and show them, with the value under the pointer. */
  function legend(block, places, plot) {
    const values = [];
    const list = rt.make("ul", { class: "legend" }, ...block.series.map((one, number) => {
      const value = rt.make("span", { class: "value" });
      values.push(value);
      const toggle = rt.button("", () => {
        const on = toggle.getAttribute("aria-pressed") !== "true";
        toggle.setAttribute("aria-pressed", on);
        Object.values(places[number]).forEach((at) => { if (at !== null) plot().setSeries(at, { show: on }); });
      }, { "aria-pressed": "true", class: "toggle", dir: "auto" });
      toggle.append(rt.sample(number, one.grey), rt.make("span", { text: one.name }), value);
      return rt.make("li", {}, toggle);
    }));
    return { list, tell: (at, data) => values.forEach((value, number) => {
      const found = at === null || at === undefined ? null : data[places[number].line][at];
      value.textContent = found === null || found === undefined ? "" : rt.number(found);
    }) };
  }

  rt.BLOCKS.chart = function (block) {
    const { data, places } = joined(block);
    const spoken = block.title + ": " + block.y.label + " against " + block.x.label + "; " + block.series.map((one) => one.name).join(", ");
    const box = rt.make("div", { class: "chart", role: "img", "aria-label": rt.visible(spoken) });
    let plot = null;
    const names = legend(block, places, () => plot);
    function draw() {
      if (!box.clientWidth) return;
      const hidden = plot ? plot.series.map((one) => !one.show) : [];
      if (plot) plot.destroy();
      plot = new uPlot(options(block, places, box.clientWidth), data, box);
      plot.told = (at) => names.tell(at, data);
      hidden.forEach((off, at) => { if (off) plot.setSeries(at, { show: false }); });
    }
    // In the next frame: a chart that changed its size while sizes are told would have to be told again.
    new ResizeObserver(() => { if (!plot || plot.width !== box.clientWidth) requestAnimationFrame(draw); }).observe(box);
    rt.onTheme(draw);
    const columns = [{ name: block.x.label, align: "right" }, ...block.series.map((one) => ({ name: one.name, align: "right" }))];
    const rows = () => data[0].slice(0, ROWS).map((x, at) => [x, ...places.map((place) => data[place.line][at] ?? null)]);
    return rt.figure(block, "curves", box, names.list, rt.asTable(columns, rows, block.title));
  };
})(righttime);
