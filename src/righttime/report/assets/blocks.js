// Sections are made of blocks; each kind of block has one function here or in charts.js.
(() => {
  const el = RT.el;
  const SHOWN = 200; // rows of a table before a button shows the rest

  const text = (block) => el("p", { class: block.tone }, RT.shown(block.text));
  const facts = (block) => el("dl", { class: "facts" },
    block.rows.flatMap(([name, value]) => [el("dt", {}, RT.shown(name)), el("dd", {}, RT.short(value, 2000))]));

  function table(block) {
    let by = null, up = true, all = false;
    const body = el("tbody");
    const heads = block.columns.map((column, place) => el("th", { scope: "col", class: column.align === "right" ? "right" : null },
      el("button", { type: "button", onclick: () => { up = by === place ? !up : column.align !== "right"; by = place; fill(); } }, RT.shown(column.name))));
    const more = el("button", { type: "button", onclick: () => { all = true; fill(); } });
    const compare = (a, b) => {
      const [x, y] = [a[by], b[by]];
      if (x === null || y === null) return (x === null) - (y === null);
      const found = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return up ? found : -found;
    };
    function fill() {
      const rows = by === null ? block.rows : [...block.rows].sort(compare);
      heads.forEach((head, place) => place === by ? head.setAttribute("aria-sort", up ? "ascending" : "descending") : head.removeAttribute("aria-sort"));
      const shown = all ? rows : rows.slice(0, SHOWN);
      body.replaceChildren(...shown.map((row) => el("tr", {}, row.map((cell, place) =>
        el("td", { class: block.columns[place].align === "right" ? "right" : "text" }, typeof cell === "string" ? RT.short(cell, 2000) : RT.number(cell))))));
      more.hidden = shown.length === rows.length;
      more.textContent = `Show all ${RT.count(rows.length)} rows`;
    }
    fill();
    return el("figure", {}, block.title ? el("h3", {}, RT.shown(block.title)) : null,
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": RT.shown(block.title || "table") },
        el("table", {}, el("thead", {}, el("tr", {}, heads)), body)),
      more, block.caption ? el("figcaption", {}, RT.shown(block.caption)) : null);
  }

  function shares(block) {
    const colours = (place) => place < 7 ? RT.COLOURS[place] : place === block.rows.length - 1 && block.rows.length > 12 ? RT.COLOURS[7] : ["#8dd3c7", "#bebada", "#fb8072", "#b3de69", "#fccde5"][place - 7] || RT.COLOURS[7];
    const grid = el("div", { class: "shares", role: "img", "aria-label": RT.shown(block.title) + ": the numbers are in the table below" },
      block.columns.flatMap((column, at) => {
        const stack = el("div", { class: "stack" }, block.rows.map((row, place) => {
          const part = el("span", { title: `${RT.short(row.name, 80)}: ${RT.percent(row.shares[at])} of ${column}` });
          part.style.width = 100 * row.shares[at] + "%";
          part.style.backgroundColor = colours(place);
          return part;
        }));
        return [el("span", {}, RT.shown(column)), stack];
      }));
    const numbers = table({ title: "", caption: "", columns: [{ name: "part" }, ...block.columns.map((name) => ({ name, align: "right" }))],
      rows: block.rows.map((row) => [row.name, ...row.shares.map(RT.percent)]) });
    return el("figure", {}, el("h3", {}, RT.shown(block.title)), grid,
      RT.legend(block.rows.map((row, place) => [row.name, colours(place)])),
      el("figcaption", {}, RT.shown(block.caption)), el("details", {}, el("summary", {}, "As a table"), numbers));
  }

  function matrix(block) {
    const cell = (value) => {
      const made = el("td", {}, RT.number(value));
      if (value !== null) {
        const share = (value - block.low) / (block.high - block.low);
        made.style.backgroundColor = RT.scale(share * 0.999);
        made.style.color = share > 0.55 ? "#000" : "#fff";
      }
      return made;
    };
    const names = block.names.map((name) => RT.short(name, 30));
    return el("figure", {}, el("h3", {}, RT.shown(block.title)),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": RT.shown(block.title) },
        el("table", { class: "matrix" }, el("thead", {}, el("tr", {}, el("th"), names.map((name) => el("th", { scope: "col" }, name)))),
          el("tbody", {}, block.values.map((row, place) => el("tr", {}, el("th", { scope: "row" }, names[place]), row.map(cell)))))),
      el("figcaption", {}, RT.shown(block.caption)));
  }

  function pre(block) {
    const copy = el("button", { type: "button", onclick: async () => {
      await navigator.clipboard.writeText(block.text).then(() => { copy.textContent = "copied"; }, () => { copy.textContent = "select and copy"; });
    } }, "copy");
    return el("div", { class: "pre block" }, el("pre", { tabindex: "0" }, RT.shown(block.text)), copy);
  }

  RT.table = table;
  RT.block = (block) => ({ text, facts, table, shares, matrix, pre, chart: RT.chart, intervals: RT.intervals })[block.kind](block);
})();
