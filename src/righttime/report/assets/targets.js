/* Target rows: what each picked, round by round, and both texts side by side. */
(function (rt) {
  "use strict";

  const PICKS = 300;

  rt.targetView = function (state) {
    const { rows } = state, { best } = rows.target, median = rows.pool_median;
    const poorly = (index) => best !== null && median !== null && best[index] < median;
    let only = "all";
    const byBest = (a, b) => (Number.isNaN(best[a]) ? 2 : best[a]) - (Number.isNaN(best[b]) ? 2 : best[b]);
    const sorts = () => [
      ...(best ? [["worst", "worst served first", byBest]] : []),
      ["row", "by row", null],
      ...(best ? [["best", "best served first", (a, b) => byBest(b, a)]] : []),
      ...(state.order && state.order.picked_by ? [["picks", "by rows picked", (a, b) => state.picks(b).length - state.picks(a).length]] : []),
    ];
    let filter = null;
    const controls = (update) => {
      if (!best || median === null) return [];
      filter = rt.select("Show", [["all", "all"], ["poor", "served by nobody"]], (value) => { only = value; update(); });
      return [filter];
    };
    return rt.browser(state, {
      side: "target", name: "Target rows", sorts, controls,
      clear: () => { only = "all"; if (filter) filter.querySelector("select").value = "all"; },
      keeps: (index) => only === "all" || poorly(index),
      remark: (index) => (best ? (poorly(index) ? "\u26a0 " : "") + "best " + rt.similar(best[index]) : ""),
      detail: (index) => detail(state, index, poorly(index)),
    });
  };

  async function detail(state, index, poorly) {
    const { rows, order } = state, row = await state.texts.target.get(index);
    const facts = rt.origin(state, "target", index);
    if (rows.target.best) facts.push(["Best similarity to a pool row", rt.similar(rows.target.best[index])]);
    const picked = state.picks(index);
    const nodes = [rt.make("h3", { text: rt.glimpse(row.id, 200), dir: "auto" }), rt.BLOCKS.facts({ rows: facts })];
    if (poorly) {
      nodes.push(rt.BLOCKS.text({ tone: "warning", text: "no pool row is near: the best similarity is below " + rt.similar(rows.pool_median) +
        ", the median between a pool row and its nearest neighbour in the pool." }));
    }
    if (!picked.length) {
      nodes.push(rt.make("p", { class: "caption", text: order && order.picked_by ? (rows.n_pool_shown < rows.n_pool ? "It picked no row that is shown." : "It picked no row.") : "This order does not say who picked a row." }), rt.turns(row));
      return nodes;
    }
    const pair = rt.make("div", { class: "pair" });
    nodes.push(...pickList(state, picked, (chosen) => compare(state, row, chosen, pair)), pair);
    await compare(state, row, picked[0], pair);
    return nodes;
  }

  /** The picked rows as buttons, under the numbers of their rounds. */
  function pickList(state, picked, choose) {
    const { order } = state, buttons = [], nodes = [];
    const button = (index) => {
      const near = order.similarity && !Number.isNaN(order.similarity[index]) ? ", " + rt.similar(order.similarity[index]) : "";
      const made = rt.button("place " + rt.count(order.position[index] + 1) + near, () => {
        buttons.forEach((one) => {
          one.setAttribute("aria-pressed", one === made);
          one.tabIndex = one === made ? 0 : -1;
        });
        choose(index);
      }, { "aria-pressed": buttons.length ? "false" : "true", tabindex: buttons.length ? "-1" : "0" });
      buttons.push(made);
      return rt.make("li", {}, made);
    };
    const groups = new Map();
    picked.slice(0, PICKS).forEach((index) => {
      const round = order.round ? order.round[index] : rt.NONE16;
      if (!groups.has(round)) groups.set(round, []);
      groups.get(round).push(index);
    });
    groups.forEach((some, round) => nodes.push(
      rt.make("h4", { text: (round === rt.NONE16 ? "Picked" : "Round " + rt.count(round)) + ": " + rt.many(some.length, "row") }),
      rt.make("ul", { class: "picks" }, ...some.map(button))));
    if (picked.length > PICKS) nodes.push(rt.make("p", { class: "caption", text: "The first " + PICKS + " of " + rt.count(picked.length) + "." }));
    // One stop for Tab, however many rows; arrows go from row to row.
    const key = (event) => {
      const at = buttons.indexOf(event.target), steps = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 };
      const next = Object.hasOwn(steps, event.key) && buttons[steps[event.key]];
      if (at < 0 || !next) return;
      event.preventDefault();
      next.focus();
      next.click();
    };
    return [rt.make("div", { class: "rounds", role: "group", "aria-label": "Rows that it picked; arrow keys go from one to the next", on: { keydown: key } }, ...nodes)];
  }

  async function compare(state, target, index, pair) {
    const [row, common] = await Promise.all([state.texts.pool.get(index), state.texts.pool.common()]);
    const mine = rt.words(rt.whole(target), common), theirs = rt.words(rt.whole(row), common);
    const shared = new Set([...mine].filter((word) => theirs.has(word)));
    const facts = [...rt.origin(state, "pool", index), ...rt.places(state, index)];
    pair.replaceChildren(
      rt.make("div", {}, rt.make("h4", { text: "Target row" }), rt.turns(target, shared)),
      rt.make("div", {}, rt.make("h4", {}, "Pool row ", rt.goTo(state, "pool", index)), rt.turns(row, shared), rt.BLOCKS.facts({ rows: facts })));
    rt.say(rt.many(shared.size, "shared word"));
  }
})(righttime);
