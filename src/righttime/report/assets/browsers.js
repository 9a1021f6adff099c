// The browsers: every target row with what it picked, every pool row with its place and why.
(() => {
  const el = RT.el;

  // One order is looked at by map and browsers alike.
  let current = 0;
  const changed = [];
  RT.onOrder = (act) => changed.push(act);
  RT.orderChooser = (rows) => {
    if (rows.orders.length < 2) return null;
    const chooser = el("select", { "aria-label": "Arrangement", onchange: () => { current = Number(chooser.value); for (const act of changed) act(rows.orders[current]); } },
      rows.orders.map((order, place) => el("option", { value: place }, RT.short(`${order.name} (${order.method})`, 60))));
    changed.push(() => { chooser.value = String(current); });
    return el("label", {}, "Arrangement", chooser);
  };
  const order = (rows) => rows.orders[current];

  // What each target row picked, in order; made when first asked for.
  function picks(rows, one) {
    if (!one.picks) {
      one.picks = Array.from({ length: rows.target.row.length }, () => []);
      if (one.picked_by) for (const i of one.inOrder) if (one.picked_by[i] !== RT.NONE32) one.picks[one.picked_by[i]].push(i);
    }
    return one.picks;
  }
  const bestOf = (rows, one, j) => rows.target.best ? rows.target.best[j]
    : one.similarity ? picks(rows, one)[j].reduce((most, i) => Math.max(most, one.similarity[i]), -Infinity) : NaN;

  RT.targetFacts = async (rows, one, j) => {
    const said = await RT.said(rows, "target", j), { target } = rows, best = bestOf(rows, one, j);
    const found = picks(rows, one)[j];
    const pairs = [
      [one.has_rounds ? "picked" : "is most similar to", `${RT.count(found.length)} pool rows`],
      ["best similarity", Number.isFinite(best) ? RT.number(best) + (rows.pool_median !== null && best < rows.pool_median ? ` – below ${RT.number(rows.pool_median)}, the pool's own median: nobody is near` : "") : null],
      ["task", RT.name(rows, "task", target.task[j]) && RT.shown(RT.name(rows, "task", target.task[j]))],
      ["source", RT.name(rows, "source", target.source[j]) && RT.shown(RT.name(rows, "source", target.source[j])) + (target.line ? `, line ${RT.count(target.line[j])}` : "")],
    ];
    return el("div", {}, el("h3", {}, RT.short(said.id, 120)),
      el("dl", { class: "facts" }, pairs.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])), RT.turns(said));
  };

  // A field that acts once the reader pauses.
  function field(label, act) {
    let timer = 0;
    const input = el("input", { type: "search", placeholder: label, "aria-label": label, oninput: () => { clearTimeout(timer); timer = setTimeout(() => act(input.value.trim()), 250); } });
    return input;
  }
  // A list of rows of one side with search, filters and sorting; what is chosen goes to `detail`.
  function browser(rows, side, about) {
    const detail = el("div", { class: "detail", "aria-live": "polite", tabindex: "0", role: "region", "aria-label": "The chosen row" }, el("p", { class: "hint" }, about.hint));
    const told = el("output", { class: "soft" });
    let hits = null, turn = 0, chosen = null, items = [];
    const list = RT.list({
      id: side, label: about.label,
      fill(element, i) {
        const name = el("span", {}, "…"), line = el("i", {}, "");
        element.append(el("b", {}, name, el("span", { class: "soft" }, about.beside(i))), line);
        RT.said(rows, side, i).then((said) => { name.textContent = RT.short(said.id, 80); line.textContent = RT.beginning(said); });
      },
      async choose(i) {
        chosen = i;
        const shown = await about.detail(i);
        if (chosen === i) { detail.replaceChildren(shown); detail.scrollTop = 0; }
      },
    });
    function show() {
      items = about.items(hits);
      list.show(items);
      told.textContent = `${RT.count(items.length)} of ${RT.count(rows[side].row.length)} rows`;
    }
    const search = field("Search ids and texts", async (words) => {
      const mine = ++turn;
      if (!words) { hits = null; show(); return; }
      await RT.search(rows, side, words, () => mine === turn, (found, share) => {
        hits = new Set(found);
        show();
        if (share < 1) told.textContent += `, ${RT.percent(share)} searched`;
      });
    });
    show();
    changed.push(() => { show(); if (chosen !== null) about.detail(chosen).then((shown) => detail.replaceChildren(shown)); });
    return {
      root: el("div", {}, el("div", { class: "bar" }, RT.orderChooser(rows), rows.texts ? el("label", { class: "grow" }, search) : null, ...about.controls(show), told), el("div", { class: "browser" }, list.holder, detail)),
      go(i) {
        if (!items.includes(i)) { hits = null; search.value = ""; turn++; about.reset(); show(); }
        list.chooseItem(i);
      },
    };
  }
  const choice = (label, entries, act) => {
    const made = el("select", { "aria-label": label, onchange: () => act(made.value) }, entries.map(([value, name]) => el("option", { value }, RT.short(name, 50))));
    return made;
  };

  RT.targets = (rows) => {
    const n = rows.target.row.length;
    let sort = "worst";
    const sorter = choice("Sort", [["worst", "served worst first"], ["best", "served best first"], ["most", "picked most first"], ["row", "as in the target"]], (value) => { sort = value; again(); });
    let again = () => {};
    const items = (hits) => {
      const one = order(rows), all = Array.from({ length: n }, (_, j) => j).filter((j) => !hits || hits.has(j));
      const best = (j) => { const found = bestOf(rows, one, j); return Number.isFinite(found) ? found : -2; };
      if (sort === "worst") all.sort((a, b) => best(a) - best(b) || a - b);
      else if (sort === "best") all.sort((a, b) => best(b) - best(a) || a - b);
      else if (sort === "most") all.sort((a, b) => picks(rows, one)[b].length - picks(rows, one)[a].length || a - b);
      return all;
    };
    async function detail(j) {
      const one = order(rows), said = await RT.said(rows, "target", j), found = picks(rows, one)[j], beside = el("div");
      async function compare(i) {
        const other = await RT.said(rows, "pool", i), shared = RT.sharedWords(said, other);
        beside.replaceChildren(el("h4", {}, `Beside the row at place ${RT.count(one.position[i] + 1)}; shared words are marked`), el("div", { class: "pair" }, el("div", {}, el("h4", {}, "target row"), RT.turns(said, shared)), el("div", {}, el("h4", {}, "pool row"), RT.turns(other, shared))));
      }
      const shown = found.slice(0, 200);
      const lines = await Promise.all(shown.map(async (i) => el("tr", {}, el("td", { class: "right" }, RT.count(one.position[i] + 1)), one.round ? el("td", { class: "right" }, RT.count(one.round[i])) : null,
        el("td", { class: "right" }, one.similarity ? RT.number(one.similarity[i]) : "–"), el("td", { class: "text" }, el("button", { type: "button", class: "link", onclick: () => RT.go("pool", i) }, RT.short((await RT.said(rows, "pool", i)).id, 60))),
        el("td", {}, el("button", { type: "button", onclick: () => compare(i) }, "compare")))));
      const made = el("div", {}, await RT.targetFacts(rows, one, j));
      if (shown.length) {
        made.append(el("h4", {}, one.has_rounds ? "What it picked, round by round" : "Rows it is most similar to, in order"), el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ["place", one.round ? "round" : null, "similarity", "pool row", ""].filter((name) => name !== null).map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, lines))));
        if (found.length > shown.length) made.append(el("p", { class: "hint" }, `The first ${shown.length} of ${RT.count(found.length)}.`));
        made.append(beside);
        await compare(found[0]);
      } else made.append(el("p", { class: "soft" }, one.picked_by ? "It picked no row that is shown." : "This method does not look at target rows."));
      return made;
    }
    const made = browser(rows, "target", {
      label: "Target rows", hint: "Choose a target row to see what it picked.", items, detail,
      beside: (j) => { const found = bestOf(rows, order(rows), j); return Number.isFinite(found) ? RT.number(found) : ""; },
      controls: (show) => { again = show; return [el("label", {}, "Sort", sorter)]; }, reset() {},
    });
    return made;
  };

  RT.pool = (rows) => {
    const n = rows.pool.row.length, { pool } = rows;
    const wanted = { state: "all", task: "", source: "", round: "" };
    const tasks = [...new Set(pool.task)].filter((code) => code !== RT.NONE16).sort((a, b) => rows.names.task[a].localeCompare(rows.names.task[b]));
    const sources = [...new Set(pool.source)].filter((code) => code !== RT.NONE16);
    const items = (hits) => {
      const one = order(rows), found = [];
      const fits = (i) => (!hits || hits.has(i)) && (wanted.task === "" || pool.task[i] === Number(wanted.task)) && (wanted.source === "" || pool.source[i] === Number(wanted.source))
        && (wanted.round === "" || (one.round && one.round[i] === Number(wanted.round)));
      if (wanted.state !== "out") for (const i of one.inOrder) if (fits(i)) found.push(i);
      if (wanted.state !== "in") for (let i = 0; i < n; i++) if (one.position[i] === RT.NONE32 && fits(i)) found.push(i);
      return found;
    };
    let again = () => {};
    const set = (name) => (value) => { wanted[name] = value; again(); };
    const state = choice("Which rows", [["all", "all rows"], ["in", "arranged"], ["out", "left out"]], set("state"));
    const task = choice("Task", [["", "all tasks"], ...tasks.map((code) => [code, rows.names.task[code]])], set("task"));
    const source = choice("Source", [["", "all sources"], ...sources.map((code) => [code, rows.names.source[code]])], set("source"));
    const round = el("input", { type: "number", min: "0", placeholder: "round", "aria-label": "Round", size: "6", oninput: () => set("round")(round.value) });
    return browser(rows, "pool", {
      label: "Pool rows", hint: "Choose a pool row to see its place and why it is there.", items,
      detail: (i) => RT.poolDetail(rows, order(rows), i),
      beside: (i) => { const one = order(rows), place = RT.place(rows, one, i); return place === null ? RT.short(RT.name(rows, "reason", one.reason[i]) || "left out", 24) : RT.count(place + 1); },
      controls: (show) => { again = show; return [state, tasks.length > 1 ? task : null, sources.length > 1 ? source : null, rows.orders.some((one) => one.has_rounds) ? round : null]; },
      reset() { Object.assign(wanted, { state: "all", task: "", source: "", round: "" }); state.value = "all"; task.value = ""; source.value = ""; round.value = ""; },
    });
  };
})();
