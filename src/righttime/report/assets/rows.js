// The rows: columns, texts opened block by block, and how a row is told.
(() => {
  const el = RT.el;
  const KEPT = 48; // opened blocks of texts

  // rows: the JSON block of that id. Resolves to columns as typed arrays, or null.
  RT.openRows = async (rows, texts) => {
    if (!rows) return null;
    const opened = async (columns) => Object.fromEntries(await Promise.all(
      Object.entries(columns).map(async ([name, column]) => [name, await RT.column(column)])));
    const [pool, target] = await Promise.all([opened(rows.pool), opened(rows.target)]);
    const orders = await Promise.all(rows.orders.map(async (order) => ({ ...order, ...(await opened(order.columns)) })));
    const found = { ...rows, pool, target, orders, texts };
    for (const order of orders) {
      // shown pool rows by their position in the order
      order.inOrder = Uint32Array.from(order.position.keys()).filter((i) => order.position[i] !== RT.NONE32).sort((a, b) => order.position[a] - order.position[b]);
    }
    return found;
  };

  const blocks = new Map(); // "pool 3" → promise of its rows; the least recently used goes first
  function opened(rows, side, number) {
    const key = side + " " + number;
    const found = blocks.get(key) || RT.inflate(rows.texts[side][number]).then((data) => JSON.parse(new TextDecoder().decode(data)));
    blocks.delete(key);
    blocks.set(key, found);
    if (blocks.size > KEPT) blocks.delete(blocks.keys().next().value);
    return found;
  }
  // The row {id, t, cut} of a side by its number among the shown ones.
  RT.said = async (rows, side, i) => rows.texts
    ? (await opened(rows, side, Math.floor(i / rows.texts.block)))[i % rows.texts.block]
    : { id: `row ${rows[side].row[i]}`, t: null, cut: 0 };
  RT.beginning = (said) => {
    if (!said.t) return "(its text is not at hand)";
    const turn = said.t.find(([role]) => role === "user") || said.t[0];
    return RT.short(turn ? turn[1].slice(0, 400).replace(/\s+/g, " ").trim() : "", 300);
  };
  // Rows whose id or text holds the words, found a block at a time; `alive` says whether to go on.
  RT.search = async (rows, side, words, alive, each) => {
    const wanted = words.toLowerCase();
    const n = rows[side].row.length, size = rows.texts.block, found = [];
    for (let start = 0; start < n && alive(); start += size) {
      const block = await RT.inflate(rows.texts[side][start / size]).then((data) => JSON.parse(new TextDecoder().decode(data)));
      block.forEach((said, k) => {
        if (said.id.toLowerCase().includes(wanted) || (said.t || []).some(([, content]) => content.toLowerCase().includes(wanted))) found.push(start + k);
      });
      if ((start / size) % 24 === 23) each(found, (start + size) / n);
    }
    if (alive()) each(found, 1);
  };

  const COMMON = new Set(("the a an and or of to in on at for with is are was were be been it its this that these those as by from not no you your i we he she they his her their what which who "
    + "how when where do does did can will would should if then than there here have has had but so all any one two into about out up more most other some such only also").split(" "));
  const words = (text) => new Set((text.toLowerCase().match(/[\p{L}\p{N}]{2,}/gu) || []).filter((word) => !COMMON.has(word)));
  RT.sharedWords = (a, b) => {
    const all = (said) => words((said.t || []).map(([, content]) => content).join(" "));
    const [one, other] = [all(a), all(b)];
    return new Set([...one].filter((word) => other.has(word)));
  };
  // A text with the words of a set marked.
  function marked(text, shared) {
    const out = document.createDocumentFragment(), safe = RT.shown(text);
    if (!shared || !shared.size) { out.append(safe); return out; }
    let last = 0;
    for (const found of safe.matchAll(/[\p{L}\p{N}]{2,}/gu)) {
      if (!shared.has(found[0].toLowerCase())) continue;
      out.append(safe.slice(last, found.index), el("mark", {}, found[0]));
      last = found.index + found[0].length;
    }
    out.append(safe.slice(last));
    return out;
  }
  RT.turns = (said, shared) => said.t === null
    ? el("p", { class: "soft" }, "Its text is not at hand.")
    : el("div", {}, said.t.map(([role, content]) => el("div", { class: "turn" }, el("div", { class: "role" }, RT.short(role, 30)), el("div", { class: "say" }, marked(content, shared)))),
      said.cut ? el("p", { class: "hint" }, `Shown: the first ${RT.count(RT.shownCharacters)} of ${RT.count(said.cut)} characters.`) : null);

  RT.name = (rows, kind, code) => code === RT.NONE16 ? null : rows.names[kind][code];
  RT.place = (rows, order, i) => order.position[i] === RT.NONE32 ? null : order.position[i];

  const link = (label, go) => el("button", { type: "button", class: "link", onclick: go }, RT.short(label, 80));
  const facts = (pairs) => el("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

  // All that is known of a pool row, under one order.
  RT.poolDetail = async (rows, order, i) => {
    const said = await RT.said(rows, "pool", i), place = RT.place(rows, order, i), { pool } = rows;
    const picker = place !== null && order.picked_by && order.picked_by[i] !== RT.NONE32 ? order.picked_by[i] : null;
    const near = [];
    if (pool.near) for (let k = 0; k < rows.k; k++) {
      const j = pool.near[i * rows.k + k];
      if (j !== RT.NONE32) near.push([j, pool.near_similarity[i * rows.k + k]]);
    }
    const named = async (j) => link((await RT.said(rows, "target", j)).id, () => RT.go("target", j));
    const reason = RT.name(rows, "reason", order.reason[i]);
    return el("div", {}, el("h3", {}, RT.short(said.id, 120)),
      facts([
        ["place", place === null ? `left out: ${reason || "not chosen"}` : `${RT.count(place + 1)} of ${RT.count(order.n)}`],
        ["round", place !== null && order.round && order.round[i] !== RT.NONE16 ? RT.count(order.round[i]) : null],
        [order.has_rounds ? "picked by" : "most similar", picker === null ? null : await named(picker)],
        ["similarity", place !== null && order.similarity ? RT.number(order.similarity[i]) : null],
        ["task", RT.name(rows, "task", pool.task[i]) && RT.shown(RT.name(rows, "task", pool.task[i]))],
        ["source", RT.name(rows, "source", pool.source[i]) && RT.shown(RT.name(rows, "source", pool.source[i])) + (pool.line ? `, line ${RT.count(pool.line[i])}` : "")],
        ["pool row", RT.count(pool.row[i])],
      ]),
      near.length ? el("div", {}, el("h4", {}, "Nearest target rows"), el("ul", {}, await Promise.all(near.map(async ([j, similarity]) => el("li", {}, await named(j), ` ${RT.number(similarity)}`))))) : null,
      RT.turns(said));
  };
})();
