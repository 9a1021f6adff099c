/* Elements and text: whatever comes from data becomes a text node, and what would act is made visible. */
const righttime = {};
(function (rt) {
  "use strict";

  const ACTING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

  /** Control characters, marks of direction and invisible ones by their numbers; their pictures are in few fonts. */
  rt.visible = function (text) {
    return String(text).replace(/\r\n/g, "\n").replace(ACTING, (found) =>
      "\u27e8U+" + found.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "\u27e9");
  };

  /** An element. `about` sets attributes, `text` (visible text), `on` (listeners) and `class`. */
  rt.make = function (name, about, ...inside) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(about || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (key === "text") made.textContent = rt.visible(value);
      else if (key === "on") for (const [event, work] of Object.entries(value)) made.addEventListener(event, work);
      else made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...inside.filter((one) => one !== null && one !== undefined));
    return made;
  };

  rt.button = (text, work, about) => rt.make("button", { type: "button", text, on: { click: work }, ...about });

  const SHOWN = 20000;

  /** A long text: its beginning, and a button for the rest. */
  rt.long = function (text, marked) {
    const box = rt.make("div", { class: "words", dir: "auto" });
    const fill = (said) => box.replaceChildren(...(marked ? marked(said) : [rt.visible(said)]));
    fill(text.length > SHOWN ? text.slice(0, SHOWN) : text);
    if (text.length <= SHOWN) return box;
    const more = rt.button("Show all " + rt.count(text.length) + " characters", () => { fill(text); more.remove(); });
    return rt.make("div", {}, box, more);
  };

  /** The first words of a text, on one line. */
  rt.glimpse = (text, most) => {
    const line = text.slice(0, most * 2).replace(/\s+/g, " ").trim();
    return rt.visible(line.length > most ? line.slice(0, most - 1) + "\u2026" : line);
  };

  rt.count = (value) => Number(value).toLocaleString("en");

  /** A number with at most four decimals (and at least so many); a dash where there is none. */
  rt.number = function (value, decimals = 4, least = 0) {
    if (value === null || value === undefined || Number.isNaN(value)) return "\u2013";
    if (typeof value !== "number") return String(value);
    const small = value !== 0 && Math.abs(value) < 0.5 * 10 ** -decimals;
    const said = small ? value.toExponential(1) : value.toLocaleString("en", { maximumFractionDigits: decimals, minimumFractionDigits: least });
    return said.replaceAll("-", "\u2212");
  };

  /** How many decimals the numbers of a column need, so that they stand below one another; none beside large ones. */
  rt.decimals = function (values) {
    const numbers = values.filter(Number.isFinite);
    if (numbers.some((value) => Math.abs(value) >= 1000)) return 0;
    return numbers.reduce((most, value) => Math.max(most, (/^\u2212?\d+\.(\d+)$/.exec(rt.number(value)) || ["", ""])[1].length), 0);
  };

  /** The numbers from 0. */
  rt.indices = (n) => Array.from({ length: n }, (_, at) => at);

  /** A number with so many decimals. */
  rt.fixed = (value, decimals) => (Number.isFinite(value) ? (value + 0).toFixed(decimals).replace(/^-(0\.?0*)$/, "$1").replace("-", "\u2212") : "\u2013");

  /** Whether a text is a fingerprint, which nobody reads word by word. */
  rt.isHash = (text) => /^(sha256:)?[0-9a-f]{40,64}$/.test(text);

  rt.many = (n, one, more) => rt.count(n) + " " + (n === 1 ? one : more || one + "s");

  /** Tell a screen reader. */
  rt.say = (text) => { document.getElementById("said").textContent = rt.visible(text); };

  const PLAIN = new Set(("the and for are was were you your that this with from have has had not but can will what which who how why when where " +
    "all any one two its his her their our they them there then than into also more most some such each other about would could should may might " +
    "been being does did out over under between").split(" "));
  const WORD = /[\p{L}\p{N}]+(?:['\u2019_-][\p{L}\p{N}]+)*/gu;

  /** The words of a text that say something: lower case, three letters or a number, none of `common`. */
  rt.words = function (text, common) {
    const found = new Set();
    for (const word of text.toLowerCase().match(WORD) || []) {
      if ((word.length > 2 || /\p{N}/u.test(word)) && !PLAIN.has(word) && !(common && common.has(word))) found.add(word);
    }
    return found;
  };

  /** Nodes of a text in which the words of `shared` are marked. */
  rt.marked = function (text, shared) {
    const nodes = [];
    let from = 0;
    for (const match of text.matchAll(WORD)) {
      if (!shared.has(match[0].toLowerCase())) continue;
      if (match.index > from) nodes.push(rt.visible(text.slice(from, match.index)));
      nodes.push(rt.make("mark", { text: match[0] }));
      from = match.index + match[0].length;
    }
    if (from < text.length) nodes.push(rt.visible(text.slice(from)));
    return nodes;
  };
})(righttime);
