/* Pool rows: the place of each or why it was left out, who picked it, its nearest target rows. */
(function (rt) {
  "use strict";

  rt.poolView = function (state) {
    const { rows } = state, { pool } = rows, blank = { task: "", source: "", round: "", kept: "" };
    let wanted = { ...blank };
    const boxes = [];
    const sorts = () => [
      ...(state.order ? [["place", "by place", (a, b) => state.order.position[a] - state.order.position[b]]] : []),
      ["row", "by row", null],
      ...(state.order && state.order.similarity ? [["near", "most similar first", (a, b) => nearness(state, b) - nearness(state, a)]] : []),
    ];
    function keeps(index) {
      const { order } = state;
      if (wanted.task !== "" && pool.task[index] !== Number(wanted.task)) return false;
      if (wanted.source !== "" && pool.source[index] !== Number(wanted.source)) return false;
      if (wanted.round !== "" && (!order.round || order.round[index] !== Number(wanted.round))) return false;
      const out = order && order.position[index] === rt.NONE32;
      if (wanted.kept === "in") return !out;
      if (wanted.kept === "out") return out;
      return !wanted.kept || (out && order.reason && order.reason[index] === Number(wanted.kept.slice(1)));
    }
    function controls(update) {
      const choose = (key, label, options) => {
        const made = rt.select(label, options, (value) => { wanted[key] = value; update(); });
        boxes.push(made.querySelector("select"));
        return made;
      };
      const named = (kind, column) => {
        const used = column ? new Set(column) : new Set();
        return [["", "all"], ...rows.names[kind].map((name, code) => [code, name]).filter(([code]) => used.has(code))
          .sort((a, b) => a[1].localeCompare(b[1], "en", { numeric: true }))];
      };
      const tasks = named("task", pool.task), sources = named("source", pool.source), made = [];
      if (tasks.length > 2) made.push(choose("task", "Task", tasks));
      if (sources.length > 2) made.push(choose("source", "Source", sources));
      if (rows.orders.some((order) => order.round)) {
        const field = rt.make("input", { type: "number", min: "0", placeholder: "all", on: { input: () => { wanted.round = field.value; update(); } } });
        boxes.push(field);
        made.push(rt.make("label", { text: "Round" }, field));
      }
      if (rows.orders.length) {
        made.push(choose("kept", "Rows", [["", "all"], ["in", "arranged"], ["out", "left out"],
          ...rows.names.reason.map((name, code) => ["r" + code, "left out: " + name])]));
      }
      return made;
    }
    return rt.browser(state, {
      side: "pool", name: "Pool rows", sorts, controls, keeps,
      clear: () => { wanted = { ...blank }; boxes.forEach((box) => { box.value = ""; }); },
      remark: (index) => remark(state.order, index),
      detail: (index) => detail(state, index),
    });
  };

  function nearness(state, index) {
    const value = state.order.similarity ? state.order.similarity[index] : NaN;
    return Number.isNaN(value) ? -2 : value;
  }

  function remark(order, index) {
    if (!order) return "";
    return order.position[index] === rt.NONE32 ? "left out" : "place " + rt.count(order.position[index] + 1);
  }

  async function detail(state, index) {
    const { rows } = state, row = await state.texts.pool.get(index);
    const nodes = [rt.make("h3", { text: rt.glimpse(row.id, 200), dir: "auto" }),
      rt.BLOCKS.facts({ rows: [...rt.origin(state, "pool", index), ...rt.places(state, index)] })];
    const pickers = rows.orders.filter((order) => order.picked_by && order.picked_by[index] !== rt.NONE32 && order.position[index] !== rt.NONE32);
    if (pickers.length) {
      nodes.push(rt.make("h4", { text: "Picked by" }), rt.make("ul", {}, ...pickers.map((order) => rt.make("li", {},
        rt.goTo(state, "target", order.picked_by[index], rows.orders.length > 1 ? " (in " + rt.visible(order.name) + ")" : "")))));
    }
    if (rows.pool.near && rows.k) {
      const near = rt.indices(rows.k).map((at) => index * rows.k + at).filter((at) => rows.pool.near[at] !== rt.NONE32);
      if (near.length) {
        nodes.push(rt.make("h4", { text: "Nearest target rows" }), rt.make("ol", {}, ...near.map((at) => rt.make("li", {},
          rt.goTo(state, "target", rows.pool.near[at], ", " + rt.similar(rows.pool.near_similarity ? rows.pool.near_similarity[at] : NaN))))));
      }
    }
    nodes.push(rt.turns(row));
    return nodes;
  }
})(righttime);
