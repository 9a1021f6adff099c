/* Figures out of elements alone: intervals, shares, matrices. They are read as tables, too. */
(function (rt) {
  "use strict";

  const svg = (name, about) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(about)) made.setAttribute(key, value);
    return made;
  };

  /** Round numbers between two ends, some five of them. */
  rt.ticks = function (low, high, n = 5) {
    const raw = (high - low) / n, size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((one) => one * size).find((one) => one >= raw);
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high + step * 1e-9; at++) found.push(Number((at * step).toPrecision(12)));
    return found;
  };

  rt.BLOCKS.intervals = function (block) {
    const ends = block.rows.flatMap((row) => [row.low, row.high, row.value]).filter((value) => Number.isFinite(value));
    let low = Math.min(0, ...ends), high = Math.max(0, ...ends);
    if (low === high) high = low + 1;
    const room = (high - low) * 0.04, from = low - room, width = high - low + 2 * room;
    const at = (value) => ((value - from) / width) * 100;
    const ticks = rt.ticks(low, high, 4);
    const plot = (row) => {
      const made = svg("svg", { viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" });
      ticks.forEach((tick) => made.append(svg("line", { x1: at(tick), x2: at(tick), y1: 0, y2: 24, class: "grid" })));
      made.append(svg("line", { x1: at(0), x2: at(0), y1: 0, y2: 24, class: "zero" }));
      if (row && Number.isFinite(row.low) && Number.isFinite(row.high)) {
        const clear = row.low > 0 || row.high < 0;
        made.append(svg("line", { x1: at(row.low), x2: at(row.high), y1: 12, y2: 12, class: clear ? "range clear" : "range" }));
      }
      // A line of no length with round ends stays a dot, whatever the width.
      if (row && Number.isFinite(row.value)) {
        made.append(svg("line", { x1: at(row.value), x2: at(row.value), y1: 12, y2: 12, class: "dot" }));
      }
      return made;
    };
    const axis = rt.make("div", { class: "axis", "aria-hidden": "true" }, ...ticks.map((tick) => {
      const label = rt.make("span", { text: rt.number(tick) });
      label.style.left = at(tick) + "%";
      return label;
    }));
    const rows = block.rows.map((row) => rt.make("tr", { role: "row" },
      rt.make("th", { scope: "row", role: "rowheader", text: row.name, dir: "auto" }),
      rt.make("td", { class: "plot", role: "cell" }, plot(row)),
      rt.make("td", { class: "said", role: "cell" },
        rt.make("span", { text: rt.number(row.value) + "  [" + rt.number(row.low) + ", " + rt.number(row.high) + "]" }),
        row.note ? rt.make("small", { text: row.note, dir: "auto" }) : null)));
    const foot = rt.make("tr", { class: "foot", role: "row" }, rt.make("th", { role: "rowheader" }),
      rt.make("td", { class: "plot", role: "cell" }, axis, rt.make("div", { class: "axis-name", text: block.label })), rt.make("td", { role: "cell" }));
    return rt.figure(block, "intervals", rt.make("table", { role: "table" }, rt.make("tbody", {}, ...rows, foot)));
  };

  rt.swatch = function (number, grey) {
    const made = rt.make("span", { class: "swatch", "aria-hidden": "true" });
    const paint = () => {
      made.style.backgroundColor = grey ? rt.grey() : rt.kind(number);
      made.classList.toggle("hatched", !grey && rt.again(number));
    };
    paint();
    rt.onTheme(paint);
    return made;
  };

  /** A piece of a line as its chart draws it. */
  rt.sample = function (number, grey) {
    const made = svg("svg", { viewBox: "0 0 30 10", class: "sample", "aria-hidden": "true" });
    const line = svg("line", { x1: 0, x2: 30, y1: 5, y2: 5, "stroke-width": grey ? 1.5 : 2.5, "stroke-dasharray": grey ? "none" : rt.dash(number).join(" ") || "none" });
    const paint = () => line.setAttribute("stroke", grey ? rt.grey() : rt.kind(number));
    made.append(line);
    paint();
    rt.onTheme(paint);
    return made;
  };

  rt.BLOCKS.shares = function (block) {
    const last = block.rows.length - 1;
    const others = (at) => at === last && /^([\d,]+ )?others?$/i.test(block.rows[at].name);
    const bars = block.columns.map((column, c) => {
      const bar = rt.make("div", { class: "bar", role: "img", "aria-label": column + ": " + block.rows.slice(0, 4).map((row) =>
        row.name + " " + rt.number(100 * (row.shares[c] || 0), 1) + " %").join(", ") + (last > 3 ? " and others" : "") });
      block.rows.forEach((row, at) => {
        const share = row.shares[c] || 0;
        if (share <= 0) return;
        const piece = rt.swatch(at, others(at));
        piece.className = "piece" + (!others(at) && rt.again(at) ? " hatched" : "");
        piece.style.flexGrow = share;
        piece.title = rt.visible(row.name) + ": " + rt.number(100 * share, 1) + " %";
        if (share > 0.02) piece.append(rt.make("b", { class: "key", text: at + 1 }));  // on paper, where colours may be greys
        if (share > 0.12) piece.append(rt.make("span", { text: rt.number(100 * share, 0) + " %" }));
        bar.append(piece);
      });
      return rt.make("div", { class: "bar-line" }, rt.make("span", { class: "bar-name", text: column }), bar);
    });
    const legend = rt.make("ul", { class: "legend" }, ...block.rows.map((row, at) =>
      rt.make("li", { dir: "auto" }, rt.swatch(at, others(at)), rt.make("b", { class: "key", text: at + 1 }), rt.make("span", { text: row.name }))));
    const columns = [{ name: "", align: "left" }, ...block.columns.map((name) => ({ name: name + " (%)", align: "right" }))];
    const rows = () => block.rows.map((row) => [row.name, ...row.shares.map((share) => (share === null ? null : Math.round(share * 1000) / 10))]);
    return rt.figure(block, "shares", ...bars, legend, rt.asTable(columns, rows, block.title));
  };

  rt.BLOCKS.matrix = function (block) {
    const span = block.high - block.low || 1;
    const cells = [];
    const row = (values, r) => rt.make("tr", {}, rt.make("th", { scope: "row", text: block.names[r], dir: "auto" }), ...values.map((value) => {
      const cell = rt.make("td", { class: "right", text: rt.fixed(value, 2) });
      if (Number.isFinite(value)) cells.push([cell, (value - block.low) / span]);
      return cell;
    }));
    const paint = () => cells.forEach(([cell, share]) => {
      cell.style.backgroundColor = rt.amount(share);
      cell.style.color = rt.readable(rt.amountRgb(share));
    });
    const head = rt.make("tr", {}, rt.make("td"), ...block.names.map((name) => rt.make("th", { scope: "col", text: name, dir: "auto" })));
    const table = rt.make("table", {}, rt.make("thead", {}, head), rt.make("tbody", {}, ...block.values.map(row)));
    paint();
    rt.onTheme(paint);
    return rt.figure(block, "matrix", rt.make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": block.title || "Matrix" }, table));
  };
})(righttime);
