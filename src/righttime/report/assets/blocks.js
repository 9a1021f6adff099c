/* Blocks: paragraphs, facts, tables, commands. Each entry of `rt.BLOCKS` makes an element of one kind of block. */
(function (rt) {
  "use strict";

  rt.BLOCKS = {};

  rt.BLOCKS.text = (block) => rt.make("p", { class: block.tone ? "tone " + block.tone : null, dir: "auto" },
    block.tone === "warning" ? rt.make("strong", { text: "Warning: " }) : null, rt.visible(block.text));

  rt.BLOCKS.heading = (block) => rt.make("h3", { class: "heading", text: block.text, dir: "auto" });

  rt.BLOCKS.facts = (block) => rt.make("dl", { class: "facts" }, ...block.rows.map(([name, value]) =>
    rt.make("div", {}, rt.make("dt", { text: name }), rt.make("dd", { class: rt.isHash(value) ? "hash" : null, text: value, dir: "auto" }))));

  rt.BLOCKS.pre = function (block) {
    const said = rt.make("pre", { text: block.text, tabindex: "0" });
    const copy = rt.button("Copy", async () => {
      try { await navigator.clipboard.writeText(block.text); } catch {
        getSelection().selectAllChildren(said);
        document.execCommand("copy");
      }
      copy.textContent = "Copied";
      rt.say("Copied");
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    }, { class: "quiet copy" });
    const box = rt.make("div", { class: "pre" }, copy, said);
    return block.title ? rt.make("details", { class: "folded" }, rt.make("summary", { text: block.title }), box) : box;
  };

  rt.caption = (text) => (text ? rt.make("p", { class: "caption", text, dir: "auto" }) : null);

  /** A figure with title and caption. */
  rt.figure = (block, kind, ...inside) => rt.make("figure", { class: "figure " + kind, "aria-label": block.title || null },
    block.title ? rt.make("h3", { text: block.title, dir: "auto" }) : null, ...inside, rt.caption(block.caption));

  const SHOWN = 200;

  /** A table that is sorted by its columns' buttons; of a long one the first rows, and a button for all. */
  rt.table = function (columns, rows, name) {
    const body = rt.make("tbody"), heads = [];
    const decimals = columns.map((column, c) => (column.align === "right" ? rt.decimals(rows.map((row) => row[c])) : 0));
    let order = rows.map((_, at) => at), most = SHOWN;
    const more = rt.button("Show all " + rt.count(rows.length) + " rows", () => { most = Infinity; fill(); }, { class: "quiet" });

    function fill() {
      body.replaceChildren(...order.slice(0, most).map((at) => rt.make("tr", {}, ...columns.map((column, c) => {
        const value = rows[at][c];
        return rt.make("td", { class: column.align === "right" ? "right" : rt.isHash(value) ? "hash" : null, dir: "auto", text: rt.number(value, 4, decimals[c]) });
      }))));
      more.hidden = rows.length <= most;
    }

    function sort(c) {
      const falling = heads[c].getAttribute("aria-sort") === "ascending";
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      heads[c].setAttribute("aria-sort", falling ? "descending" : "ascending");
      const none = (value) => value === null || value === undefined;
      order = rows.map((_, at) => at).sort((a, b) => {
        const one = rows[a][c], other = rows[b][c];
        if (none(one) || none(other)) return none(one) - none(other) || a - b;  // those without a value come last
        const less = typeof one === "number" && typeof other === "number" ? one - other
          : String(one).localeCompare(String(other), "en", { numeric: true });
        return (falling ? -less : less) || a - b;
      });
      fill();
    }

    columns.forEach((column, c) => heads.push(rt.make("th", { scope: "col", class: column.align === "right" ? "right" : null },
      rt.button(column.name, () => sort(c), { class: "sort" }))));
    fill();
    const table = rt.make("table", {}, rt.make("thead", {}, rt.make("tr", {}, ...heads)), body);
    return rt.make("div", {}, rt.make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": name || "Table" }, table), more);
  };

  rt.BLOCKS.table = (block) => rt.figure(block, "table", rt.table(block.columns, block.rows, block.title));

  /** "Data as a table", made when it is opened. */
  rt.asTable = function (columns, rows, name) {
    const box = rt.make("details", { class: "data" }, rt.make("summary", { text: "Data as a table" }));
    box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(rt.table(columns, rows(), name)); });
    return box;
  };

  /** The block as an element; one that cannot be made is said, and the page goes on. */
  rt.block = function (block) {
    try {
      if (!Object.hasOwn(rt.BLOCKS, block.kind)) throw new Error("unknown kind " + block.kind);
      return rt.BLOCKS[block.kind](block);
    } catch (error) {
      console.error(error);
      return rt.make("p", { class: "tone warning", text: "This part could not be shown: " + error.message });
    }
  };
})(righttime);
