/* What map and browsers share: the rows, the chosen order, who picked whom, and the ways from one view to another. */
(function (rt) {
  "use strict";

  /** The rows with their texts, the order that is looked at, and the views that can show a row. */
  rt.rowState = function (rows, texts) {
    const kept = texts || { block: 128, pool: [], target: [] };
    const state = {
      rows,
      texts: { pool: new rt.Texts(kept.pool, kept.block, rows.pool.row), target: new rt.Texts(kept.target, kept.block, rows.target.row) },
      at: Math.max(0, rows.orders.findIndex((order) => order.picked_by)),  // who picked a row is what is looked for first
      views: {},
      listeners: [],
      get order() { return rows.orders[this.at]; },
    };
    state.setOrder = (at) => { state.at = at; state.listeners.forEach((work) => work()); };
    state.show = (side, index) => { if (state.views[side]) state.views[side](index); };
    state.picks = picks(state);
    return state;
  };

  /** For each order, made when first asked for: the pool rows of each target row, by place. */
  function picks(state) {
    const made = new Map();
    return function (target) {
      const order = state.order;
      if (!order || !order.picked_by) return [];
      if (!made.has(order)) {
        const lists = new Map();
        order.picked_by.forEach((picker, row) => {
          if (picker === rt.NONE32 || order.position[row] === rt.NONE32) return;
          if (lists.has(picker)) lists.get(picker).push(row);
          else lists.set(picker, [row]);
        });
        lists.forEach((list) => list.sort((a, b) => order.position[a] - order.position[b]));
        made.set(order, lists);
      }
      return made.get(order).get(target) || [];
    };
  }

  rt.name = (state, kind, code) => (code === undefined || code === rt.NONE16 ? null : state.rows.names[kind][code]);
  rt.similar = (value) => rt.fixed(value, 4);

  /** Where a row comes from, as facts. */
  rt.origin = function (state, side, index) {
    const rows = state.rows[side], source = rows.source ? rt.name(state, "source", rows.source[index]) : null;
    const facts = [[side === "pool" ? "Pool row" : "Target row", rt.count(rows.row[index])]];
    const task = rows.task ? rt.name(state, "task", rows.task[index]) : null;
    if (task !== null) facts.push(["Task", task]);
    if (source !== null) facts.push(["Source", source + (rows.line ? ", line " + rt.count(rows.line[index]) : "")]);
    return facts;
  };

  /** A pool row's place in each order, or why it has none. */
  rt.places = (state, index) => state.rows.orders.map((order) => {
    const name = state.rows.orders.length > 1 ? "In " + order.name : "Place";
    if (order.position[index] === rt.NONE32) {
      return [name, "left out: " + (rt.name(state, "reason", order.reason ? order.reason[index] : undefined) || "no reason kept")];
    }
    const round = order.round && order.round[index] !== rt.NONE16 ? ", round " + rt.count(order.round[index]) : "";
    const near = order.similarity && !Number.isNaN(order.similarity[index]) ? ", similarity " + rt.similar(order.similarity[index]) : "";
    return [name, rt.count(order.position[index] + 1) + " of " + rt.count(order.n) + round + near];
  });

  /** The turns of a row; the words of `shared` are marked. */
  rt.turns = function (row, shared) {
    if (!row.t) return rt.make("p", { class: "caption", text: "The text of this row is not in the page." });
    const mark = shared && shared.size ? (text) => rt.marked(text, shared) : null;
    const box = rt.make("div", { class: "turns", tabindex: "0", role: "group", "aria-label": "Text of " + rt.visible(row.id) }, ...row.t.map(([role, content]) =>
      rt.make("div", { class: "turn" }, rt.make("div", { class: "role", text: role }), rt.long(content, mark))));
    if (row.cut) box.append(rt.make("p", { class: "caption turn", text: "Cut; the whole row has " + rt.count(row.cut) + " characters." }));
    return box;
  };

  /** A button that goes to a row in its browser, with the row's id. */
  rt.goTo = function (state, side, index, more) {
    const link = rt.button("\u2026", () => state.show(side, index), { class: "linklike", dir: "auto" });
    state.texts[side].get(index).then((row) => { link.textContent = rt.glimpse(row.id, 80) + (more || ""); });
    return link;
  };

  /** The first line of a text under an id, in lists and on the map. */
  rt.opening = (row) => (row.t && row.t.length ? (row.t.find((turn) => turn[0] === "user") || row.t[0])[1] : "");

  /** Fill an item of a list: id and remark above, the text's beginning below. */
  rt.fillItem = function (state, side, index, item, remark) {
    const write = (row) => item.replaceChildren(
      rt.make("div", { class: "item-top" }, rt.make("b", { text: rt.glimpse(row.id, 120) }), rt.make("span", { text: remark })),
      rt.make("div", { class: "item-words", text: rt.glimpse(rt.opening(row), 160) || "\u2013" }));
    const ready = state.texts[side].ready(index);
    if (ready) write(ready);
    else {
      write({ id: "row " + rt.count(state.rows[side].row[index]), t: null });
      state.texts[side].get(index).then(write);
    }
  };

  rt.select = function (label, options, work, value) {
    const box = rt.make("select", { on: { change: () => work(box.value) } },
      ...options.map(([key, name]) => rt.make("option", { value: key, text: rt.glimpse(name, 80), selected: String(key) === String(value) })));
    return rt.make("label", { text: label }, box);
  };

  /** A chooser of orders where there are several; it follows the other views. */
  rt.orderChooser = function (state) {
    if (state.rows.orders.length < 2) return null;
    const label = rt.select("Order", state.rows.orders.map((order, at) => [at, order.name]), (at) => state.setOrder(Number(at)), state.at);
    state.listeners.push(() => { label.querySelector("select").value = state.at; });
    return label;
  };

  /**
   * A list with search, sorting and filters over one side, with a place for details.
   * `about`: side, name, sorts [[key, name, less]], controls, keeps (index), remark (index), detail (index) -> nodes.
   */
  rt.browser = function (state, about) {
    const n = state.rows[about.side].row.length;
    const tally = rt.make("p", { class: "tally", role: "status" });
    const detail = rt.make("div", { class: "detail", role: "region", "aria-label": about.name + ": details" },
      rt.make("p", { class: "caption", text: "Choose a row: by pointer, or with the arrow keys in the list." }));
    const list = new rt.List(about.name, (index, item) => rt.fillItem(state, about.side, index, item, about.remark(index)), show);
    let hits = null, sort = about.sorts()[0][0], stop = { now: false }, asked = 0, turn = 0;

    async function show(index) {
      const mine = ++turn;
      const nodes = await about.detail(index);
      if (mine === turn) detail.replaceChildren(...nodes);
    }

    function update(share) {
      const less = (about.sorts().find(([key]) => key === sort) || about.sorts()[0])[2];
      const found = (hits || rt.indices(n)).filter(about.keeps);
      if (less) found.sort((a, b) => less(a, b) || a - b);
      list.set(found);
      const going = share === undefined || share === 1 ? "" : "; searching, " + Math.floor(100 * share) + " %";
      tally.textContent = (found.length === n ? rt.many(n, "row") : rt.count(found.length) + " of " + rt.many(n, "row")) + going;
    }

    async function search(text) {
      stop.now = true;
      const mine = (stop = { now: false });
      if (!text) { hits = null; update(); return; }
      const found = await state.texts[about.side].search(text, (some, share) => { hits = some.slice(); if (!mine.now) update(share); }, mine);
      if (found && !mine.now) { hits = found; update(); }
    }

    const field = rt.make("input", { type: "search", placeholder: "id or text", on: { input: () => {
      clearTimeout(asked);
      asked = setTimeout(() => search(field.value), 180);
    } } });
    field.setAttribute("aria-label", "Search " + about.name.toLowerCase());
    const sorting = rt.select("Sort", about.sorts().map(([key, name]) => [key, name]), (key) => { sort = key; update(); }, sort);
    const controls = rt.make("div", { class: "controls" }, rt.make("label", { text: "Search" }, field), rt.orderChooser(state), sorting, ...about.controls(() => update()));
    state.listeners.push(() => { update(); if (list.at >= 0) show(list.rows[list.at]); });
    state.views[about.side] = (index) => {
      if (!list.rows.includes(index)) { about.clear(); field.value = ""; hits = null; stop.now = true; update(); }
      list.choose(list.rows.indexOf(index));
      list.box.closest("section").scrollIntoView();
      list.box.focus({ preventScroll: true });
    };
    update();
    list.choose(0);
    return [controls, tally, rt.make("div", { class: "browser" }, list.box, detail)];
  };
})(righttime);
